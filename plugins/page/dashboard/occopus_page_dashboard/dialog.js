// Questions that are asked before something cannot be taken back.

import { html, useEffect, useRef, useState } from "./ui.js";

// `act` may take its time, and throws a `Problem` that is shown. With `typed`, that text must be typed first.
export function Ask({ title, children, verb, act, close, typed }) {
  const dialog = useRef();
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const left = useRef(false);
  useEffect(() => {
    dialog.current.showModal(); // which keeps the focus inside, and gives it back
  }, []);
  // At once, and not when the browser says that it has closed: by then the user may have asked for the next one.
  const leave = () => {
    if (left.current) return;
    left.current = true;
    dialog.current?.close();
    close();
  };
  const submit = async (event) => {
    event.preventDefault();
    if (busy || (typed && text !== typed)) return;
    setBusy(true);
    try {
      await act();
      leave();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<dialog ref=${dialog} onCancel=${leave} onClose=${leave} aria-labelledby="ask-title" aria-describedby="ask-text">
    <form onSubmit=${submit}>
      <h2 id="ask-title">${title}</h2>
      <div id="ask-text">${children}</div>
      ${typed && html`<label for="ask-typed">Type <b class="mono">${typed}</b> to go on</label>
        <input id="ask-typed" value=${text} autocomplete="off" spellcheck="false" autofocus onInput=${(event) => setText(event.target.value)} />`}
      ${problem && html`<p class="error" role="alert">${problem.message}</p>`}
      <div class="actions">
        <button type="button" onClick=${leave}>Cancel</button>
        <button class="danger" type="submit" disabled=${busy || (typed && text !== typed)}>${busy ? "One moment…" : verb}</button>
      </div>
    </form>
  </dialog>`;
}
