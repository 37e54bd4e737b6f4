/**
 * The check of kernels in a browser: what a static page runs, of which `bundle.ts` makes one file.
 *
 * @module
 */
import { Gpu } from "../../kernels/device/gpu.ts";
import { type Findings, makeParts, markdownOf, type Part } from "./findings.ts";
import { adapterRow, kernelParts } from "./kernel_parts.ts";

/** Minutes unless the address says `?minutes=`. */
const MINUTES = 5;

/** What the page's script needs of a browser beyond what Deno has too. */
interface Place {
  textContent: string;
  addEventListener(type: "click", listen: () => void): void;
  setAttribute(name: string, value: string): void;
}
const { document, navigator: { clipboard } } = globalThis as unknown as {
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
  const options: GPURequestAdapterOptions = { powerPreference: "high-performance" };
  const adapter = await navigator.gpu?.requestAdapter(options);
  if (!adapter) return finish("This browser gives no WebGPU adapter.");
  const gpu = await Gpu.open({ adapter });
  const findings: Findings = {
    made: new Date().toISOString(),
    where: navigator.userAgent,
    adapter: adapterRow(adapter, gpu.name),
    sections: [],
  };
  const keep = (now: Findings) => {
    state.textContent = `${now.sections.at(-1)?.title ?? ""} …`;
    shown.textContent = markdownOf(now);
  };
  keep(findings);
  const software = adapter.info.isFallbackAdapter;
  const parts = kernelParts(gpu, { software }).map(breathing);
  await makeParts(findings, parts, { deadline: performance.now() + 60_000 * asked, keep });
  finish("Done");
}

function finish(text: string): void {
  state.textContent = text;
  body.setAttribute("data-done", "");
}

/** Lets the browser draw before a part. */
function breathing(part: Part): Part {
  return {
    ...part,
    async run(tell, late, left) {
      await new Promise((next) => setTimeout(next));
      await part.run(tell, late, left);
    },
  };
}
