/** What the server tells of its model and of what its engine does. */
import { part, showFacts } from "./dom.js";
import { showQuality } from "./quality.js";

/** Seconds that the trace shows, a point each. */
const TRACE = 60;

let rates = [];
let last;

const short = (value) =>
  value === undefined
    ? undefined
    : new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);

function size(bytes) {
  if (bytes === undefined) return undefined;
  const [unit, name] = bytes < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}

/** Shows what the model is. */
export function showCard(card, context) {
  part("scheme").textContent = card.scheme;
  showFacts(part("card"), [
    ["Bits a weight", card.bitsPerWeight?.toFixed(2)],
    ["Parameters", short(card.parameters)],
    ["Weights", size(card.bytes)],
    ["Context", `${context.toLocaleString("en")} tokens`],
    ["Runs on", card.device],
  ]);
  showQuality(card.quality);
}

/** Shows what the engines of all models do together. */
export function showEngine(statuses) {
  const sum = (of) => statuses.reduce((all, { engine }) => all + of(engine), 0);
  const [used, cached, total] = ["used", "cached", "total"].map((key) =>
    sum(({ pages }) => pages[key])
  );
  const states = new Set(statuses.map(({ state }) => state));
  showFacts(part("engine"), [
    ["State", [...states].join(", ")],
    ["Answering", String(sum(({ running }) => running))],
    ["Waiting", String(sum(({ waiting }) => waiting))],
    ["Pages in use", `${used.toLocaleString("en")} of ${total.toLocaleString("en")}`],
    ["Pages kept", cached > 0 ? cached.toLocaleString("en") : undefined],
  ]);
  part("pages").value = total > 0 ? used / total : 0;
  const now = { at: performance.now(), tokens: sum(({ generatedTokens }) => generatedTokens) };
  if (last && now.tokens >= last.tokens && now.at > last.at) {
    const rate = (now.tokens - last.tokens) / (now.at - last.at) * 1000;
    rates = [...rates, rate].slice(-TRACE);
    part("rate").textContent = rate < 10 && rate > 0 ? rate.toFixed(1) : Math.round(rate);
    drawTrace();
  }
  last = now;
}

/** Shows that the server is not reached. */
export function showLost(known) {
  last = undefined;
  part("rate").textContent = "0";
  showFacts(part("engine"), [["State", known ? "not reached" : "unknown"]]);
}

function drawTrace() {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, at) => {
    const x = 240 - (rates.length - 1 - at) * (240 / (TRACE - 1));
    return [x.toFixed(1), (42 - rate / most * 38).toFixed(1)];
  });
  const line = points.map((point) => point.join(",")).join(" ");
  part("trace").querySelector("polyline").setAttribute("points", line);
  const [left] = points[0] ?? ["240"];
  part("trace").querySelector("polygon")
    .setAttribute("points", points.length > 1 ? `${left},44 ${line} 240,44` : "");
}
