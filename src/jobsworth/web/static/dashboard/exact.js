// JSON without loss: numbers that JavaScript would round or write otherwise keep the digits they came with.

/** A number as it was written. */
export class Exact {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
}

/** JSON to values, numbers that would not survive as Exact. @param {string} text */
export function parse(text) {
  return JSON.parse(text, (_key, value, context) => {
    if (typeof value !== "number" || !context?.source || String(value) === context.source) return value;
    return new Exact(context.source);
  });
}

/** Values to JSON, over several lines. @param {unknown} value @param {string} [gap] what a level is moved in by */
export function write(value, gap = "  ", before = "") {
  if (value instanceof Exact) return value.text;
  if (value === null || typeof value !== "object") return JSON.stringify(value ?? null);
  const inside = before + gap;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const parts = Array.isArray(value)
    ? value.map((each) => write(each, gap, inside))
    : Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${write(each, gap, inside)}`);
  if (!parts.length) return open + close;
  if (!gap) return open + parts.join(", ") + close;
  return `${open}\n${parts.map((part) => inside + part).join(",\n")}\n${before}${close}`;
}

/** Values as Python writes them. @param {unknown} value @returns {string} */
export function python(value) {
  if (value instanceof Exact) return value.text;
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, each]) => `${text(key)}: ${python(each)}`).join(", ")}}`;
  }
  return typeof value === "string" ? text(value) : String(value);
}

/** JSON's escapes are Python's too. */
function text(value) {
  return JSON.stringify(value);
}

/** A call of a task from Python. @param {string} task @param {unknown} given its arguments, by name */
export function pythonCall(task, given) {
  const names = Object.entries(given ?? {});
  const plain = names.every(([name]) => /^[A-Za-z_]\w*$/.test(name));
  const call = plain
    ? names.map(([name, value]) => `${name}=${python(value)}`).join(", ")
    : `**${python(given)}`;
  return `jobs.find_task(${text(task)}).enqueue(${call})`;
}

/** A command for a shell that posts JSON. @param {string} url @param {string} body */
export function curl(url, body) {
  const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;
  return `curl -X POST ${quoted(url)} -H 'Content-Type: application/json' -d ${quoted(body)}`;
}
