// The field for a description: typed, dropped or opened; every mistake is shown where it is.

import { html, notify, plural, useEffect, useRef } from "./ui.js";

const LARGEST = 2 ** 20; // bytes, as the service has it

// `children` are buttons; `nothing` says what did not happen, above the mistakes of `problem`. While it is `locked`, the
// text cannot be changed.
export function DescriptionForm({ text, setText, problem, nothing, submit, locked, children }) {
  const area = useRef(), summary = useRef();
  useEffect(() => problem && summary.current.focus(), [problem]);
  const take = async (file) => {
    if (!file || locked) return;
    if (file.size > LARGEST) notify(`${file.name} is larger than a description may be.`, true);
    else setText(await file.text());
  };
  const jump = (line, column) => {
    const lines = text.split("\n");
    const offset = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
    area.current.focus();
    area.current.setSelectionRange(offset, offset + Math.max(1, (lines[line - 1] ?? "").length - column + 1));
    const height = parseFloat(getComputedStyle(area.current).lineHeight);
    area.current.scrollTop = Math.max(0, (line - 4) * height);
  };
  return html`<form class="panel" onSubmit=${submit} onDragOver=${(event) => event.preventDefault()}
      onDrop=${(event) => { event.preventDefault(); take(event.dataTransfer.files[0]); }} aria-busy=${locked ? "true" : null}>
    <label for="description">Description <span class="muted">YAML or JSON; a file can be dropped here</span></label>
    <textarea id="description" ref=${area} class="mono" rows="18" spellcheck="false" autocapitalize="off" value=${text} disabled=${locked}
      aria-invalid=${problem?.errors.length ? "true" : null} aria-describedby=${problem ? "problems" : null}
      onInput=${(event) => setText(event.target.value)}></textarea>
    <div class="actions left">${children}
      <label class="button file">Open a file<input type="file" accept=".yaml,.yml,.json,text/*" disabled=${locked} onChange=${(event) => take(event.target.files[0])} /></label>
    </div>
    ${problem && html`<${Problems} problem=${problem} nothing=${nothing} text=${text} jump=${jump} summary=${summary} />`}
  </form>`;
}

function Problems({ problem, nothing, text, jump, summary }) {
  const lines = text.split("\n");
  return html`<section id="problems" class="problems" tabindex="-1" ref=${summary} role="alert">
    <h2>${problem.errors.length ? `${nothing}: ${plural(problem.errors.length, "mistake")}` : nothing}</h2>
    ${problem.errors.length ? html`<ol>${problem.errors.map((one) => html`<${Mistake} one=${one} lines=${lines} jump=${jump} />`)}</ol>` : html`<p>${problem.message}</p>`}
  </section>`;
}

function Mistake({ one, lines, jump }) {
  const [, line, column] = /:(\d+):(\d+)$/.exec(one.position) ?? [];
  const shown = line && lines[line - 1]?.trim();
  return html`<li>
    ${line ? html`<button type="button" class="link" onClick=${() => jump(Number(line), Number(column))}>line ${line}, column ${column}</button>` : one.path && html`<span class="mono">${one.path}</span>`}
    ${" "}<span>${one.message}</span>
    ${shown && html`<code class="excerpt">${shown}</code>`}
  </li>`;
}
