// The graph of nodes: an arrow leads from a node to one it needs.

import { arranged, boxed } from "./graph-plan.js";
import { counted, inWords, look, Meter, Sign, word, worst } from "./states.js";
import { html, plural, useEffect, useMemo, useRef, useState } from "./ui.js";

const MOST = 150; // boxes; more are no picture any more
const SMALLEST = 0.4, LARGEST = 1.6, STEP = 1.25; // of the drawing

export function Graph({ nodes, report, choose }) {
  const frame = useRef();
  const [width, setWidth] = useState(0);
  const [open, setOpen] = useState(new Set());
  const [zoom, setZoom] = useState(null); // null: as large as fits
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    watch.observe(frame.current);
    return () => watch.disconnect();
  }, []);
  const narrow = width < 520;
  const shape = JSON.stringify(nodes.map((node) => [node.name, node.type, node.needs]));
  const boxes = useMemo(() => boxed(nodes, open), [shape, open]);
  const plan = useMemo(() => (boxes.length > MOST ? null : arranged(boxes, narrow)), [boxes, narrow]);
  const fit = plan ? Math.max(SMALLEST, Math.min(1, width / plan.width, narrow ? 1 : (0.75 * innerHeight) / plan.height)) : 1;
  const scale = zoom ?? fit;
  const turn = (family) => {
    setOpen((old) => (old.has(family) ? new Set([...old].filter((one) => one !== family)) : new Set([...old, family])));
    setZoom(null);
  };
  const show = (factor) => setZoom(Math.max(SMALLEST, Math.min(LARGEST, scale * factor)));
  return html`<section class="panel graph" aria-labelledby="graph"><h2 id="graph" class="spoken">Nodes and what they need</h2>
    <${Tools} boxes=${boxes} open=${open} turn=${turn} show=${plan && show} fit=${() => setZoom(null)} fitted=${zoom === null} />
    <div class="canvas" ref=${frame}>${plan ? html`<${Drawing} plan=${plan} boxes=${boxes} report=${report} scale=${scale} choose=${choose} turn=${turn} />`
      : html`<p class="muted">${nodes.length} nodes are too many to draw; all of them are listed below.</p>`}</div></section>`;
}

// Buttons to change the size, and to fold what was opened.
function Tools({ boxes, open, turn, show, fit, fitted }) {
  const opened = [...open].map((family) => boxes.filter((box) => box.family === family)).filter((members) => members.length > 1);
  return html`<div class="graph-tools">
    ${opened.map((members) => html`<button key=${members[0].family} class="quiet small" aria-expanded="true" onClick=${() => turn(members[0].family)}>
      Fold ${members[0].name}…${members.at(-1).name}</button>`)}
    ${show && html`<span class="zoom" role="group" aria-label="Size of the graph">
      <button class="quiet small" aria-label="Smaller" onClick=${() => show(1 / STEP)}>−</button>
      <button class="quiet small" aria-pressed=${fitted} onClick=${fit}>Fit</button>
      <button class="quiet small" aria-label="Larger" onClick=${() => show(STEP)}>+</button></span>`}
  </div>`;
}

function Drawing({ plan, boxes, report, scale, choose, turn }) {
  const { width, height } = plan;
  return html`<div class="drawing-size" style=${{ width: `${width * scale}px`, height: `${height * scale}px` }}>
    <div class="drawing" style=${{ width: `${width}px`, height: `${height}px`, transform: `scale(${scale})` }}>
    <svg width=${width} height=${height} aria-hidden="true">
      <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" /></marker></defs>
      ${plan.lines.map((line) => html`<path key=${line.key} class="edge" d=${line.path} marker-end="url(#arrow)" />`)}
    </svg>
    <ul>${boxes.map((box) => html`<${Card} key=${box.id} box=${box} place=${plan.places[box.id]} report=${report} choose=${choose} turn=${turn} />`)}</ul>
  </div></div>`;
}

// A node, or several that differ by a number alone: those are one box, which opens.
function Card({ box, place, report, choose, turn }) {
  const several = box.nodes.length > 1;
  const known = box.nodes.map((node) => report[node.name]).filter(Boolean);
  const counts = counted(known.flatMap((node) => Object.values(node.instances).map((one) => one.state)));
  const target = known.reduce((sum, node) => sum + node.scaling.target, 0);
  const state = worst(counts), empty = Object.keys(counts).length === 0;
  const left = `${place.x - place.width / 2}px`, top = `${place.y - place.height / 2}px`;
  const needs = [...new Set(box.nodes.flatMap((node) => node.needs))];
  const words = empty ? "no instance" : Object.keys(counts).length === 1 ? word(state) : inWords(counts);
  return html`<li style=${{ left, top, width: `${place.width}px`, height: `${place.height}px` }}>
    <button class=${`card ${several ? "several " : ""}${empty ? "shutdown" : look(state)}`} aria-expanded=${several ? "false" : null}
      title=${box.name} onClick=${() => (several ? turn(box.family) : choose(box.name))}>
      <span class="card-head"><${Sign} state=${empty ? "shutdown" : state} /><b class="clip">${box.name}</b><span class="number">${counts.ready ?? 0}/${target}</span></span>
      <${Meter} counts=${counts} target=${target} />
      <span class="small clip state-words">${several ? `${plural(box.nodes.length, "node")}: ${words}` : words}</span>
      ${needs.length > 0 && html`<span class="spoken">needs ${needs.length > 6 ? plural(needs.length, "node") : needs.join(", ")}</span>`}
    </button></li>`;
}
