// The one door to the libraries. Screens import from here only, so that others can take their place.
import { Fragment, h, render } from "./vendor/preact.js";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

/** Markup as a tagged template. What stands in ${} becomes text or attributes, never markup. */
export const html = htm.bind(h);
export { Fragment, render, useEffect, useLayoutEffect, useMemo, useRef, useState };

/** A value that components can look at: they are drawn anew when it changes. @template T */
export class Store {
  #ears = new Set();
  /** @param {T} value */
  constructor(value) {
    this.value = value;
  }
  /** @param {T} value */
  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const ear of [...this.#ears]) ear(value);
  }
  /** @param {(value: T) => void} ear @returns {() => void} ends it */
  listen(ear) {
    this.#ears.add(ear);
    return () => this.#ears.delete(ear);
  }
}

/** A store whose text outlives the page, where the browser allows that. @param {string} name @param {string} initial */
export function saved(name, initial) {
  const key = `jobsworth.${name}`;
  let text = null;
  try {
    text = localStorage.getItem(key);
  } catch {
    // private windows may have no storage: then it lasts as long as the page
  }
  const store = new Store(text ?? initial);
  store.listen((value) => {
    try {
      localStorage.setItem(key, value);
    } catch {
      // as above
    }
  });
  return store;
}

/** The value of a store; the component is drawn anew when it changes. @template T @param {Store<T>} store @returns {T} */
export function use(store) {
  const [, draw] = useState(0);
  useLayoutEffect(() => {
    const seen = store.value;
    const end = store.listen(() => draw((times) => times + 1));
    if (!Object.is(seen, store.value)) draw((times) => times + 1);
    return end;
  }, [store]);
  return store.value;
}
