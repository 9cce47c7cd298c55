// From a JSON schema to the fields of a form, and from what was typed to JSON, digit for digit.

/** @typedef {{name: string, kind: "text"|"number"|"boolean"|"choice"|"json", required: boolean, about: string,
 *             choices?: unknown[], initial?: string, whole?: boolean}} Field */

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** @param {any} schema of an object @returns {Field[]} */
export function fieldsOf(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, part]) => field(name, part, schema.$defs ?? {}, required.has(name)));
}

function field(name, given, defs, required) {
  const part = looked(given, defs);
  const about = [part.title, part.description, limits(part)].filter(Boolean).join("; ");
  const initial = "default" in part ? JSON.stringify(part.default) : undefined;
  const base = { name, required, about, initial };
  if (Array.isArray(part.enum)) return { ...base, kind: "choice", choices: part.enum };
  if ("const" in part) return { ...base, kind: "choice", choices: [part.const] };
  if (part.type === "string") return { ...base, kind: "text" };
  if (part.type === "integer" || part.type === "number") return { ...base, kind: "number", whole: part.type === "integer" };
  if (part.type === "boolean") return { ...base, kind: "boolean" };
  return { ...base, kind: "json", about: [about, shape(part, defs)].filter(Boolean).join("; ") };
}

function looked(part, defs) {
  const name = /^#\/\$defs\/(.+)$/.exec(part.$ref ?? "")?.[1];
  return name !== undefined && defs[name] ? { ...defs[name], ...("default" in part ? { default: part.default } : {}) } : part;
}

function limits(part) {
  const names = { minimum: "at least", exclusiveMinimum: "more than", maximum: "at most", exclusiveMaximum: "less than",
    minLength: "characters at least", maxLength: "characters at most", pattern: "like", format: "a" };
  return Object.entries(names).filter(([name]) => name in part).map(([name, said]) => `${said} ${part[name]}`).join(", ");
}

/** What a value is, in few words. */
function shape(given, defs, deep = 0) {
  const part = looked(given, defs);
  if (part.anyOf) return part.anyOf.map((each) => shape(each, defs, deep)).join(" or ");
  if (part.type === "array") return deep < 2 && part.items ? `a list of ${shape(part.items, defs, deep + 1)}` : "a list";
  if (part.type === "object") return part.properties ? `an object with ${Object.keys(part.properties).join(", ")}` : "an object";
  return part.type ?? "any JSON";
}

/**
 * What was typed as the JSON of one value; undefined if nothing was. Throws an Error that says what is wrong.
 * @param {Field} field @param {string} typed
 */
export function jsonOf(field, typed) {
  if (typed === "") {
    if (field.required) throw new Error("it is needed");
    return undefined;
  }
  if (field.kind === "text") return JSON.stringify(typed);
  if (field.kind === "number") {
    const text = typed.trim();
    if (!NUMBER.test(text)) throw new Error("it must be a number, as 12 or 0.5");
    if (field.whole && !/^-?\d+$/.test(text)) throw new Error("it must be a whole number");
    return text;
  }
  try {
    JSON.parse(typed);
  } catch (error) {
    throw new Error(`it must be JSON: ${error.message}`);
  }
  return typed;
}
