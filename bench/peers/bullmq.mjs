// BullMQ on Node: node bullmq.mjs PACKAGES REDIS_PORT worker SLOTS | fill JOBS
// Ticks are those of bench/noop.py: the job's number and CLOCK_MONOTONIC, 16 bytes, appended in one write.
import { createRequire } from 'module';
import fs from 'fs';

const [, , packages, port, what, count] = process.argv;
const { Queue, Worker } = createRequire(packages + '/')('bullmq');
const connection = { host: '127.0.0.1', port: +port, maxRetriesPerRequest: null };
const CHUNK = 1000;

if (what === 'worker') {
  const ticks = fs.openSync(process.env.BENCH_TICKS, 'a');
  const record = Buffer.alloc(16);
  const worker = new Worker('bench', async (job) => {
    record.writeBigInt64LE(BigInt(job.data.number), 0);
    record.writeDoubleLE(Number(process.hrtime.bigint()) / 1e9, 8);
    fs.writeSync(ticks, record);
    return { ok: job.data.number };
  }, { connection, concurrency: +count });
  process.on('SIGTERM', async () => { await worker.close(); process.exit(0); });
} else {
  const queue = new Queue('bench', { connection });
  for (let start = 0; start < +count; start += CHUNK) {
    const some = Array.from({ length: Math.min(CHUNK, +count - start) }, (_, place) => start + place);
    await queue.addBulk(some.map((number) => ({ name: 'noop', data: { number, path: 'a.png', size: [1200, 800] } })));
  }
  await queue.close();
}
