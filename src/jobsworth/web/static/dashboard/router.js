// The address is the state: #/jobs?state=failed. What stands behind # works under any mount, and after a reload.
import { query } from "./api.js";
import { Store } from "./ui.js";

/** @typedef {{screen: string, id: string, query: URLSearchParams, text: string, came: boolean}} Place came: from another */

let came = false;

/** @returns {Place} */
function read() {
  const text = location.hash.replace(/^#\/?/, "");
  const [path, search = ""] = text.split(/\?(.*)/s);
  const [screen = "", id = ""] = path.split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part; // somebody wrote it by hand
    }
  });
  return { screen: screen || "overview", id, query: new URLSearchParams(search), text, came };
}

/** Where the page is. */
export const place = new Store(read());
addEventListener("hashchange", () => {
  came = true;
  place.set(read());
});

/** @param {string} screen @param {string} [id] @param {Record<string, any>} [values] */
export function href(screen, id = "", values = {}) {
  return `#/${screen === "overview" ? "" : screen}${id ? `/${encodeURIComponent(id)}` : ""}${query(values)}`;
}

/** @param {string} screen @param {string} [id] @param {Record<string, any>} [values] */
export function go(screen, id, values) {
  location.hash = href(screen, id, values);
}

/** The same, without a step in the history. */
export function stay(screen, id, values) {
  history.replaceState(null, "", href(screen, id, values));
  place.set(read());
}
