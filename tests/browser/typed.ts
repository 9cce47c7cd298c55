// A program as somebody may write it; never run, only type-checked. Each @ts-expect-error is a mistake that is found.
import { cancel, settings, watch, type JobEvent, type Status } from "../../src/jobsworth/web/static/jobsworth.js";

settings.site = "/background/";
settings.running = "läuft";
settings.left = (seconds) => `noch ${seconds.toFixed()} s`;
// @ts-expect-error
settings.runing = "läuft";

export async function follow(id: string, token: string): Promise<Status | undefined> {
  const job = watch(id, { token, onchange: (event) => event.progress?.percent?.toFixed() });
  for await (const event of job) {
    if (event.status === "failed") await job.cancel("no use");
    // @ts-expect-error
    if (event.status === "done") return;
    // @ts-expect-error
    event.progress.percent;
  }
  job.close();
  return job.last?.status;
}

export async function stop(id: string): Promise<boolean> {
  // @ts-expect-error
  await cancel(id, "too slow");
  return (await cancel(id, { reason: "too slow" })).ok;
}

const shown = document.createElement("job-progress");
shown.addEventListener("jobchange", ({ detail }) => {
  const event: JobEvent = detail;
  console.log(event.job_id, shown.watching?.last?.eta?.seconds);
});
// @ts-expect-error
watch();
