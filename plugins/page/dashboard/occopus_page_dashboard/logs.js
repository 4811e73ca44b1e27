// What an instance has printed, asked for again while it is open.

import { at, get } from "./api.js";
import { useLive } from "./live.js";
import { Time } from "./time.js";
import { html, useCallback, useEffect, useLayoutEffect, useRef } from "./ui.js";

const LINES = 200;
const SECONDS = 3;

export function Output({ id, name, one, close }) {
  const dialog = useRef();
  const left = useRef(false);
  useEffect(() => {
    dialog.current.showModal(); // which keeps the focus inside, and gives it back
  }, []);
  const leave = () => {
    if (left.current) return;
    left.current = true;
    dialog.current?.close();
    close();
  };
  const load = useCallback((signal) => get(at(id, `/nodes/${encodeURIComponent(one.key)}/logs?lines=${LINES}`), signal), [id, one.key]);
  const { data, error } = useLive(load, SECONDS);
  return html`<dialog class="wide-dialog" ref=${dialog} onCancel=${leave} onClose=${leave} aria-labelledby="output-title">
    <div class="section-head"><h2 id="output-title">Output of ${name}-${one.position}</h2>
      <button type="button" onClick=${leave}>Close</button></div>
    <p class="small muted">The last ${LINES} lines, as its provider keeps them. <code>${one.key}</code></p>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}
    ${!data && !error && html`<p class="muted" aria-busy="true">One moment…</p>`}
    ${data?.kept_at && html`<p class="note">It failed and is gone. This was kept <${Time} at=${data.kept_at} /></p>`}
    ${data && !data.available && html`<p class="muted">There is no output: ${data.detail}.</p>`}
    ${data?.available && !data.lines.length && html`<p class="muted">It has printed nothing so far.</p>`}
    ${data?.lines.length > 0 && html`<${Lines} lines=${data.lines} />`}
    ${data?.failed_job && html`<p class="note">Its configuration manager has failed. This was kept <${Time} at=${data.failed_job.kept_at} /></p>
      <${Lines} lines=${data.failed_job.lines} />`}
  </dialog>`;
}

// Stays at the end while new lines come, unless somebody has scrolled up.
function Lines({ lines }) {
  const box = useRef();
  const stays = useRef(true);
  useLayoutEffect(() => {
    if (stays.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    stays.current = scrollHeight - scrollTop - clientHeight < 8;
  };
  return html`<pre class="output" ref=${box} tabindex="0" aria-label="Output" onScroll=${scrolled}>${lines.join("\n")}</pre>`;
}
