// Saved views: addresses under a name. They stay in this browser.
import { confirm } from "./dialogs.js";
import { say } from "./parts.js";
import { html, saved, use } from "./ui.js";

const kept = saved("views", "[]");

/** What is kept, as far as it is what it should be: somebody else may have written there. @returns {[string, string][]} */
function views() {
  try {
    return JSON.parse(kept.value).filter((each) => Array.isArray(each) && each.length === 2 && each.every((part) => typeof part === "string"));
  } catch {
    return [];
  }
}

const keep = (all) => kept.set(JSON.stringify(all));

/** @param {{place: import("./router.js").Place, name: string}} props name: what this one would be called */
export function SaveView({ place, name }) {
  const save = async () => {
    const said = await confirm({ title: "Save this view", text: "It is kept in this browser.", line: "Name", begin: name || "all", verb: "Save" });
    if (!said) return;
    const called = said.line ?? (name || "all");
    keep([...views().filter(([each]) => each !== called), [called, place.text]]);
    say(`View ${called} is saved`);
  };
  return html`<button type="button" onClick=${save}>Save this view</button>`;
}

/** Those there are. @param {{place: import("./router.js").Place}} props */
export function Views({ place }) {
  use(kept);
  const all = views();
  const remove = (called) => {
    const before = views();
    keep(before.filter(([each]) => each !== called));
    say(`View ${called} is deleted`, "good", () => keep(before));
  };
  return all.length > 0 && html`<nav class="tabs views" aria-label="Saved views"><ul>
    ${all.map(([called, text]) => html`<li key=${called} class="chip"><a href=${`#/${text}`} aria-current=${text === place.text ? "page" : undefined}>${called}</a>
      <button type="button" aria-label=${`Delete view ${called}`} onClick=${() => remove(called)}>×</button></li>`)}</ul></nav>`;
}
