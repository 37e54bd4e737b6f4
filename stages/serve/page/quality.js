/** What quantization cost, in words and as a small plot. */
import { element, part } from "./dom.js";

/** Shows how the model compares with full precision, where that was measured. */
export function showQuality(quality) {
  part("quality").hidden = quality === undefined;
  if (quality === undefined) return;
  const { perplexity, baseline, kl, top1, protocol } = quality;
  part("cost").textContent = sentence(quality);
  const most = Math.max(perplexity, baseline ?? 0);
  part("plot").replaceChildren(
    element("h3", { text: "Perplexity, less is better" }),
    ...baseline === undefined ? [] : [
      bar("Full precision", { share: baseline / most, value: baseline.toFixed(2), quiet: true }),
    ],
    bar("This model", { share: perplexity / most, value: perplexity.toFixed(2) }),
    ...top1 === undefined ? [] : [
      element("h3", { text: "The same next token" }),
      bar("This model", { share: top1, value: percent(top1) }),
    ],
  );
  part("protocol").textContent = [
    ...kl === undefined ? [] : [`KL divergence ${kl.toFixed(3)} nats`],
    protocol,
  ].join("; ");
}

const percent = (share) => `${(share * 100).toFixed(0)} %`;

function sentence({ perplexity, baseline, top1 }) {
  if (baseline === undefined) return `Perplexity ${perplexity.toFixed(2)}.`;
  const more = perplexity / baseline - 1;
  const cost = Math.abs(more) < 0.005
    ? "It predicts text as well as in full precision."
    : `It predicts text ${percent(Math.abs(more))} ${
      more > 0 ? "worse" : "better"
    } than in full precision.`;
  const agrees = top1 === undefined
    ? ""
    : ` For ${Math.round(top1 * 100)} of 100 tokens both find the same one likeliest.`;
  return `${cost}${agrees}`;
}

function bar(name, { share, value, quiet = false }) {
  const row = element("div", { className: quiet ? "bar-row other" : "bar-row" });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [className, width] of [["whole", 100], ["part", 100 * share]]) {
    const rect = document.createElementNS(svg.namespaceURI, "rect");
    rect.setAttribute("class", className);
    rect.setAttribute("width", width.toFixed(2));
    rect.setAttribute("height", "10");
    svg.append(rect);
  }
  row.append(element("span", { text: name }), svg, element("b", { text: value }));
  return row;
}
