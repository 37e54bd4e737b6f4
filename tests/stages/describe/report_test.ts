import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { allRuns } from "../../../pipeline/store/runs.ts";
import { describePath } from "../../../stages/describe/describe.ts";
import { openTools } from "../../../stages/tools.ts";
import { browserTest } from "../../support/browser.ts";
import { tableOf, watch } from "../../support/page_check.ts";
import { projectOf } from "../../support/report_project.ts";
import * as stages from "../../../stages/mod.ts";

browserTest(
  "a report of quantized models has their scores, sizes, errors and comparison",
  async (browser) => {
    await using project = await projectOf(
      fileURLToPath(new URL("../../../configs/rtn.yaml", import.meta.url)),
      { stages, describe: describePath, tools: openTools },
    );
    await project.run(["windows=2", "context=64", "sample_tokens=64"]);
    await project.call("report", project.manifest, "--out", project.page);
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const trouble = watch(page);
    await page.goto(`file://${project.page}`);
    const [record] = await allRuns(project.store.path);
    const quality = await tableOf(page, "Quality and size");
    deepStrictEqual(quality[0], [
      "Step",
      "Variant",
      "Perplexity",
      "Perplexity increase, %",
      "KL, nats",
      "Top-1 agrees",
      "Bits per weight",
      "Weights, MB",
      "KV, bytes per token",
    ]);
    const perplexity = record?.scores["rtn.perplexity"] ?? 0;
    ok(perplexity > 1);
    deepStrictEqual(quality.map(([step]) => step), ["Step", "fp16", "rtn"]);
    match(quality[2]?.[2] ?? "", new RegExp(`^${perplexity.toPrecision(5)} ± 0\\.\\d{4}$`));
    // 7.3 MB of half-precision weights, 16 bits each; 4 layers of 2 heads of 64 keys and values.
    const sizes = ["16.00", "7.3", String(4 * 2 * 2 * 64 * 2)];
    deepStrictEqual(quality[1]?.slice(6), sizes);
    // What all share stands below the table once.
    const machine = `All made on ${await openTools({}).machine()}.`;
    strictEqual(await page.getByText(machine, { exact: true }).count(), 1);
    strictEqual(
      await page.locator('[aria-label^="Perplexity against Bits per weight"]:visible').count(),
      1,
    );
    const errors = await tableOf(page, "Error of the linears' outputs");
    deepStrictEqual(errors.map(([layer]) => layer), ["Layer", "0", "1", "2", "3"]);
    ok(errors.slice(1).every((cells) => Number(cells[1]) > 0 && Number(cells[1]) < 0.1));
    strictEqual((await tableOf(page, "Error of attention by the KV cache")).length, 5);
    // A map of layers and linears, whose mean is what the curve has.
    const map = await tableOf(page, "Relative squared error of each linear: w4a8, w4a8kv4");
    const roles = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    deepStrictEqual(map[0], ["Layer", ...roles]);
    for (const [layer, cells] of map.slice(1).entries()) {
      const mean = cells.slice(1).reduce((sum, cell) => sum + Number(cell), 0) / roles.length;
      ok(Math.abs(mean / Number(errors[1 + layer]?.[1]) - 1) < 1e-3, `${cells}`);
    }
    const comparison = await tableOf(page, "Rounding to nearest W4A8KV4");
    strictEqual(comparison.length, 3);
    strictEqual(await page.locator("section[aria-labelledby=comparisons] img").count(), 2);
    // What came out stands first, in a sentence and a table.
    strictEqual(
      await page.locator("main > section").first().getAttribute("aria-labelledby"),
      "headline",
    );
    const gist = await page.locator("section[aria-labelledby=headline]").innerText();
    ok(/keeps [\d.]+ % of the tokens that/.test(gist), gist);
    ok(/W4A8KV4 g128/.test(gist), gist);
    deepStrictEqual(trouble, []);
    await page.close();
  },
);
