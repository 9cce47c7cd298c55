// The line in which jobs are searched, with completion: a combobox.
import { complete, completions } from "./filter.js";
import { html, useEffect, useMemo, useRef, useState } from "./ui.js";
import { useKeys } from "./keys.js";

/** @param {{text: string, known: Record<string, string[]>, onFilter: (text: string) => void}} props */
export function FilterBar({ text, known, onFilter }) {
  const box = useRef(null);
  const [typed, type] = useState(text);
  const [at, choose] = useState(-1);
  const [open, setOpen] = useState(false);
  useEffect(() => type(text), [text]);
  useKeys({ "/": () => (box.current.focus(), box.current.select()) });
  const offers = useMemo(() => (open ? completions(typed, known) : []), [typed, known, open]);
  const take = (word) => {
    type(complete(typed, word));
    choose(-1);
    box.current.focus();
  };
  const submit = (event) => {
    event.preventDefault();
    setOpen(false);
    onFilter(typed);
  };
  const key = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && offers.length) {
      event.preventDefault();
      choose((at + step + offers.length + (at < 0 && step < 0 ? 1 : 0)) % offers.length);
    } else if (event.key === "Enter" && offers[at]) {
      event.preventDefault();
      take(offers[at]);
    } else if (event.key === "Escape") {
      if (offers.length) {
        event.preventDefault();
        setOpen(false);
      } else box.current.blur();
      choose(-1);
    }
  };
  return html`<form class="filter" role="search" onSubmit=${submit}>
    <label for="filter">Filter</label>
    <div class="combo">
      <input id="filter" ref=${box} type="text" autocomplete="off" spellcheck=${false} value=${typed} maxlength="900"
        role="combobox" aria-expanded=${String(offers.length > 0)} aria-controls="offers" aria-autocomplete="list"
        aria-activedescendant=${offers[at] ? `offer${at}` : undefined}
        placeholder="queue:mail tag:eu words"
        onInput=${(event) => (type(event.target.value), choose(-1), setOpen(true))} onKeyDown=${key}
        onBlur=${() => setTimeout(() => setOpen(false), 150)} />
      <ul id="offers" role="listbox" aria-label="Completions" hidden=${!offers.length}>
        ${offers.map((word, place) => html`<li key=${word} id=${`offer${place}`} role="option" aria-selected=${String(place === at)}
          onMouseDown=${(event) => (event.preventDefault(), take(word))}>${word}</li>`)}
      </ul>
    </div>
    <button type="submit">Search</button>
    ${text && html`<button type="button" onClick=${() => onFilter("")}>Clear</button>`}
  </form>`;
}
