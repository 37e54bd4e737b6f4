/**
 * The check of kernels in a browser: what a static page runs, of which `bundle.ts` makes one file.
 *
 * @module
 */
import { Gpu } from "../../kernels/device/gpu.ts";
import { Card } from "./card.ts";
import { type Findings, isFine, makeParts, markdownOf, type Part, timesOf } from "./findings.ts";
import { adapterRow, kernelParts } from "./kernel_parts.ts";

/** Minutes unless the address says `?minutes=`. */
const MINUTES = 5;

/** What the page's script needs of a browser beyond what Deno has too. */
interface Place {
  textContent: string;
  addEventListener(type: "click", listen: () => void): void;
  setAttribute(name: string, value: string): void;
}
const { document, isSecureContext, navigator: { clipboard } } = globalThis as unknown as {
  readonly isSecureContext: boolean;
  readonly document: { querySelector(selector: string): Place };
  readonly navigator: { readonly clipboard: { writeText(text: string): Promise<void> } };
};
const [body, shown, state, copy] = ["body", "#report", "#state", "#copy"].map((selector) =>
  document.querySelector(selector)
) as [Place, Place, Place, Place];

copy.addEventListener("click", () => {
  void clipboard.writeText(shown.textContent).then(() => copy.textContent = "Copied");
});

await check().catch(({ message }) => finish(`The check cannot go on: ${message}`));

/** Makes the check and shows what it has found so far. */
async function check(): Promise<void> {
  const asked = Number(new URLSearchParams(location.search).get("minutes") ?? MINUTES);
  if (!(asked > 0)) throw new RangeError("?minutes= is no number above 0");
  if (!navigator.gpu) {
    throw new Error(
      isSecureContext
        ? "this browser has no WebGPU, expected a newer Chrome, Edge, Firefox or Safari"
        : "browsers give WebGPU to https:// and localhost alone, expected this page to come from there",
    );
  }
  const adapter = await requestAdapter();
  const { isFallbackAdapter: software } = adapter.info;
  // An adapter gives one device.
  let next: GPUAdapter | undefined = adapter;
  const open = async () => {
    const given = next ?? await requestAdapter();
    next = undefined;
    return await Gpu.open({ adapter: given });
  };
  await using card = await Card.open(open, { software, adapter: requestAdapter });
  const findings: Findings = {
    made: new Date().toISOString(),
    where: navigator.userAgent,
    adapter: adapterRow(adapter, card.gpu.name),
    sections: [],
  };
  const keep = (now: Findings) => {
    const { title = "", at = "" } = now.sections.at(-1) ?? {};
    state.textContent = `${title} … ${at}`;
    shown.textContent = markdownOf(now);
  };
  keep(findings);
  const { exact, ceilings, others, plans, speeds } = kernelParts(card);
  const parts = [exact, ceilings, others, plans, speeds].map(breathing);
  await makeParts(findings, parts, { ...timesOf(asked), keep, renew: () => card.renew() });
  finish(`Done: ${isFine(findings) ? "nothing is wrong" : "something is wrong"}`);
}

async function requestAdapter(): Promise<GPUAdapter> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) return adapter;
  throw new Error(
    "this browser gives no adapter, expected the driver of a graphics processor (chrome://gpu or about:support say why; on Linux, Chrome wants --enable-unsafe-webgpu --enable-features=Vulkan)",
  );
}

function finish(text: string): void {
  state.textContent = text;
  body.setAttribute("data-done", "");
}

/** Lets the browser draw before a part. */
function breathing(part: Part): Part {
  return {
    ...part,
    async run(making) {
      await new Promise((next) => setTimeout(next));
      await part.run(making);
    },
  };
}
