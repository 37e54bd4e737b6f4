import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { dirname } from "node:path";
import type { Program } from "../../../pipeline/cli/main.ts";
import type { Describe } from "../../../pipeline/description.ts";
import { allRuns, Runs } from "../../../pipeline/store/runs.ts";
import { browserTest } from "../../support/browser.ts";
import { callProgram } from "../../support/cli_call.ts";
import {
  headingLevels,
  lowContrasts,
  overflows,
  tableOf,
  watch,
} from "../../support/page_check.ts";
import { projectOf, type ReportProject } from "../../support/report_project.ts";
import * as stages from "../../support/toy/stages.ts";

const HOSTILE =
  '<script>globalThis.bad = 1</script><img src="http://198.51.100.7/x" onerror="bad = 1">';

const MANIFEST = `
params: { value: 3, by: 1, words: '${HOSTILE}' }
matrix: { by: [1, 20, 300] }
steps:
  one: { stage: constant, with: { value: "\${value}" } }
  a_step_with_quite_a_long_name: { stage: add, from: { a: one }, with: { by: "\${by}", parts: 3, pause: 40 } }
  quality: { stage: score, from: { a: a_step_with_quite_a_long_name } }
  bad: { stage: fail, from: { a: one }, with: { message: "\${words}" } }
  behind: { stage: add, from: { a: bad, b: one } }
`;

/** Says of a score and a number what models and evaluations would: figures, curves, pictures. */
const describe: Describe = async (path, { kind }) => {
  if (kind === "report") {
    const [size, quality] = [path.charCodeAt(path.length - 1), path.charCodeAt(path.length - 2)];
    return {
      title: "a score",
      variant: `with ${HOSTILE}`,
      sections: [{
        title: "Ablation",
        table: {
          columns: [{ heading: "Method" }, { heading: "Score", number: true }],
          rows: [["sum", "12"]],
        },
        pictures: [{
          title: "A drawn picture",
          svg:
            '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><script>bad = 1</script><rect width="40" height="20"/></svg>',
        }],
      }],
      warnings: [],
      figures: [
        { name: "Loss", value: quality, text: quality.toFixed(1), axis: "quality" },
        { name: "Bits", value: size, text: String(size), axis: "size" },
      ],
    };
  }
  const number = Number(await Deno.readTextFile(`${path}/number`));
  const points = [0, 1, 2, 3].map((layer) => [layer, number * (layer + 1)] as const);
  return {
    title: `the number ${number}`,
    sections: [{
      title: "Inside",
      facts: [["value", String(number)]],
      charts: [
        ...number < 300 ? [] : [
          {
            title: "Parts by size",
            across: "Size",
            up: "Parts",
            series: [{ name: "before", points }, { name: "after", points }],
            form: "bars" as const,
          },
        ],
        {
          title: "Error of each layer",
          across: "Layer",
          up: "Error",
          series: [{ name: "", points }],
        },
        {
          title: "By part",
          across: "Layer",
          up: "Error",
          series: [{ name: "p", points }, { name: "q", points }],
        },
        {
          title: "By part and layer",
          across: "Layer",
          up: "Error",
          series: [{ name: "p", points }, { name: "q", points }],
          form: "grid",
        },
      ],
    }],
    warnings: number > 300 ? ["It has three digits"] : [],
    figures: [],
  };
};

const TOY: Program = { stages, tools: () => ({}), describe };

browserTest(
  "a report of a failed sweep is a page that reads well on every screen",
  async (browser) => {
    await using project = await toyProject();
    // The second run finds everything but what failed.
    await project.run();
    await project.run();
    const { out, status, errors } = await project.call(
      "report",
      project.manifest,
      "--out",
      project.page,
    );
    deepStrictEqual([status, errors, out], [0, "", `${project.page}\n`]);
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [1280, 390]) {
        const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
        const trouble = watch(page);
        await page.goto(`file://${project.page}`);
        match(await page.title(), /^a\.yaml: failed in /);
        await page.evaluate(
          "document.querySelectorAll('details').forEach((one) => one.open = true)",
        );
        const where = `${width} ${colorScheme}`;
        deepStrictEqual(await overflows(page), [], where);
        deepStrictEqual(await lowContrasts(page), [], where);
        const levels = await headingLevels(page);
        strictEqual(levels.filter((level) => level === 1).length, 1);
        ok(levels.every((level, at) => level <= (levels[at - 1] ?? 0) + 1), `${levels}`);
        strictEqual(await page.evaluate("globalThis.bad"), undefined);
        deepStrictEqual(trouble, [], where);
        // Paper is as narrow as a phone, but its letters are as small as a screen's.
        await page.emulateMedia({ media: "print" });
        strictEqual(await page.locator(".narrow:visible").count(), 0);
        strictEqual(await page.locator("#time ~ figure .roomy:visible").count(), 1);
        await page.close();
      }
    }
  },
);

browserTest(
  "a report tells scores, seconds, curves, failures and origins of a run",
  async (browser) => {
    await using project = await toyProject();
    await project.run();
    const long = "a_step_with_quite_a_long_name[by=20]";
    const made = await project.secondsOf(long);
    await project.run();
    await project.call("report", "last", "--out", project.page);
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(`file://${project.page}`);
    const table = (label: string) => tableOf(page, label);

    const quality = await table("Quality and size");
    deepStrictEqual(quality[0], ["Step", "Variant", "Loss", "Bits"]);
    strictEqual(quality.length, 4);
    strictEqual(quality[2]?.[0], "quality[by=20]");
    strictEqual(quality[2]?.[1], `with ${HOSTILE}`);

    const seconds = await table("Seconds by step");
    deepStrictEqual(seconds[0], ["Step", "Stage", "State", "This run, s", "When made, s", "Size"]);
    const row = seconds.find(([name]) => name === long);
    deepStrictEqual(row?.slice(1, 3), ["add", "hit"]);
    strictEqual(row?.[4], made.toFixed(1));
    ok(made >= 0.12, "three parts of 40 ms");
    ok(Number(row?.[3]) < made, "reusing takes less than making");
    strictEqual(row?.[5], "8 B", "1 + 2 + 3 bytes of parts, and the 2 of the number 23");
    deepStrictEqual(seconds.find(([name]) => name === "bad")?.slice(1, 3), ["fail", "failed"]);
    deepStrictEqual(seconds.find(([name]) => name === "behind")?.slice(1, 3), ["add", "blocked"]);
    const stage = (await table("Seconds by stage")).find(([name]) => name === "add");
    deepStrictEqual(stage?.slice(0, 2), ["add", "4"]);

    // Plots are drawn for roomy screens and for phones; one of each is shown.
    strictEqual(
      await page.locator("#curves ~ figure svg:visible, #curves ~ * svg:visible").count(),
      1,
    );
    const lines = await page.locator('[aria-label="Error of each layer, by layer"]:visible')
      .textContent() ?? "";
    for (const name of ["one", "a_step_with_quite_a_long_name[by=1]", long]) {
      ok(lines.includes(name), lines);
    }
    const numbers = await table("Error of each layer");
    const column = numbers[0]?.indexOf(long) ?? -1;
    deepStrictEqual(numbers.slice(1).map((cells) => cells[column]), ["23", "46", "69", "92"]);
    // One map of all steps, which share it where their numbers are equal: bad has none.
    const maps = page.locator('[aria-label^="By part and layer, a map for one"]:visible');
    strictEqual(await maps.count(), 1);
    const places = await maps.locator("text").allTextContents();
    strictEqual(places.filter((text) => text === "q").length, 4);
    ok(places.includes(long), `${places}`);
    const fields = await table(`By part and layer: ${long}`);
    deepStrictEqual(fields.slice(0, 2), [["Layer", "p", "q"], ["0", "23", "23"]]);
    strictEqual(await page.getByText("By part and layer", { exact: true }).count(), 1);

    // Histograms are a step's own.
    const last = "a_step_with_quite_a_long_name[by=300]";
    const bars = page.locator(`figure [aria-label="Inside (${last})"]:visible`);
    ok((await bars.textContent())?.includes("Parts by size"));
    const sizes = await table(`Parts by size (${last})`);
    deepStrictEqual(sizes.slice(0, 2), [["Size", "before", "after"], ["0", "303", "303"]]);

    strictEqual(await page.locator('[aria-label^="Loss against Bits"]:visible').count(), 1);
    const times = page.locator('[aria-label^="Seconds that 9 steps"]:visible');
    ok((await times.textContent())?.includes("behind"));
    strictEqual(await page.locator(".graph-drawing .node").count(), 9);
    strictEqual(await page.locator(".graph-drawing .node.failed").count(), 1);
    strictEqual(await page.locator(".graph-drawing .node.blocked").count(), 1);

    const pictures = page.locator('img[alt="A drawn picture"]');
    strictEqual(await pictures.count(), 3);
    ok(
      await pictures.first().evaluate((image) =>
        (image as unknown as { naturalWidth: number }).naturalWidth === 40
      ),
    );
    strictEqual((await table("Ablation"))[1]?.join(" "), "sum 12");

    strictEqual(
      await page.locator(".failure").innerText(),
      `bad: Cannot finish step "bad": ${HOSTILE}`,
    );
    ok(
      (await page.locator(".notes").allInnerTexts()).some((text) =>
        text.includes("It has three digits")
      ),
    );
    const provenance = await page.locator('section[aria-labelledby="provenance"]').innerText();
    ok(provenance.includes("As the run has read it."));
    ok(provenance.includes(MANIFEST.trim().split("\n")[4]!));
    ok(provenance.includes(Deno.version.deno));
    ok(provenance.includes(`words\n${HOSTILE}`));
    const keys = await table("Keys and digests");
    match(
      keys.find(([name]) => name === long)?.join(" ") ?? "",
      / add 1 [0-9a-f]{12} [0-9a-f]{12}$/,
    );
    await page.close();
  },
);

browserTest("a report is read by keyboard, and without scripts", async (browser) => {
  await using project = await toyProject();
  await project.run();
  await project.call("report", "--out", project.page);
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`file://${project.page}`);
  const focused = () => page.locator(":focus");
  await page.keyboard.press("Tab");
  strictEqual(await focused().innerText(), "Quality and size");
  await page.keyboard.press("Enter");
  // The browser says its new address a moment later.
  await page.waitForURL(/#quality$/);
  const step = page.locator("details.step").first();
  strictEqual(await step.locator("dl").first().isVisible(), false);
  const summary = page.locator("details.step > summary:focus");
  for (let presses = 0; presses < 60 && await summary.count() === 0; presses++) {
    await page.keyboard.press("Tab");
  }
  match(await summary.innerText(), /^one/);
  await page.keyboard.press("Enter");
  strictEqual(await step.locator("dl").first().isVisible(), true);
  // What scrolls by itself can be reached, since nothing else would scroll it.
  for (const box of await page.locator(".wide").all()) {
    strictEqual(await box.getAttribute("tabindex"), "0");
    ok(await box.getAttribute("aria-label"));
  }
  await context.close();
});

Deno.test("a report and `inspect` tell what made each number", async () => {
  let held = 0;
  // A device of which every step takes some.
  const tools = (machine: string) => () => ({
    deviceBytes: () => ++held,
    environment: () => Promise.resolve({ adapter: machine }),
  });
  await using project = await toyProject(tools("an abacus"));
  const path = `${dirname(project.manifest)}/other`;
  const other = { ...TOY, tools: tools("another one") };
  const call = (...args: string[]) => callProgram(other, ...args, "--store", project.store.path);
  await project.run();
  // All but the score of one variant is reused.
  await call("run", project.manifest, "--force=quality[by=1]");
  await call("report", project.manifest, "--out", path);
  const html = await Deno.readTextFile(path);
  const rowsOf = (label: string) => {
    const [table = ""] = new RegExp(`aria-label="${label}".*?</table>`, "s").exec(html) ?? [];
    return [...table.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row = ""]) =>
      [...row.matchAll(/<t[hd][^>]*>([^<]*)</g)].map(([, text]) => text)
    );
  };
  const quality = rowsOf("Quality and size");
  const machines = quality.map((cells) => [cells[0], cells.at(-1)]);
  deepStrictEqual(machines, [
    ["Step", "Made on"],
    ["quality[by=1]", "another one"],
    ["quality[by=20]", "an abacus"],
    ["quality[by=300]", "an abacus"],
  ]);
  const seconds = rowsOf("Seconds by step").map((cells) => [cells[0], cells.at(-1)]);
  deepStrictEqual(seconds.slice(0, 2), [["Step", "Made on"], ["one", "an abacus"]]);
  deepStrictEqual(seconds.find(([name]) => name === "bad"), ["bad", ""]);
  match(html, /<dt>made on<\/dt>\s*<dd>another one<\/dd>/);
  const [record] = await allRuns(project.store.path);
  const { key = "" } = record!.steps.find(({ name }) => name === "quality[by=1]")!;
  match((await call("inspect", key)).out, /^ {2}made on +another one$/m);
});

Deno.test("a report is written of a run that was killed, and of artifacts that are gone", async () => {
  await using project = await toyProject();
  await project.run();
  const [record] = await allRuns(project.store.path);
  const [last, ...before] = record!.steps.toReversed();
  const room = [...Deno.readDirSync(`${project.store.path}/runs`)][0]!.name;
  const killed = {
    ...record,
    state: "running",
    steps: [...before.toReversed(), { ...last, state: "waiting" }],
  };
  const file = `${project.store.path}/runs/${room}/${record!.id}.json`;
  await Deno.writeTextFile(file, JSON.stringify(killed));
  const one = record!.steps.find(({ name }) => name === "one")!;
  await Deno.remove(`${project.store.path}/artifacts/${one.key}`, { recursive: true });
  const long = record!.steps.find(({ name }) => name.endsWith("[by=300]"))!;
  const number = `${project.store.path}/artifacts/${long.key}/number`;
  await Deno.remove(number);
  await Deno.writeTextFile(number, "");
  await Deno.writeTextFile(project.manifest, `${MANIFEST}\n# changed\n`);
  deepStrictEqual(await project.call("report", record!.id.slice(0, 20), "--out", project.page), {
    status: 0,
    out: `${project.page}\n`,
    errors: "",
  });
  const html = await Deno.readTextFile(project.page);
  match(html, /<title>a\.yaml: killed after 8 of 9 steps<\/title>/);
  match(html, /Its artifact cannot be shown: it is not in the store any more/);
  match(html, /Its artifact cannot be shown: it is damaged: number has 0 bytes, expected 3/);
  match(html, /As it is now: it was changed after the run has read it\./);
});

Deno.test("`run` ends with the command that writes a page about it", async () => {
  await using project = await toyProject();
  const { out, status } = await project.call("run", project.manifest);
  strictEqual(status, 1);
  const [, command = ""] = /\nA page about it: .* report (.*)\n$/.exec(out) ?? [];
  strictEqual(command, `${project.manifest} --store ${project.store.path}`);
  const told = await project.call("report", project.manifest, "--out", project.page);
  strictEqual(told.status, 0);
});

Deno.test("a report is written of a run that is at work", async () => {
  await using project = await toyProject();
  const runs = await Runs.open(project.store.path, project.manifest);
  const waiting = {
    name: "one",
    stage: "constant",
    state: "waiting",
    reason: "not made before",
    seconds: 0,
    inputs: {},
  } as const;
  await runs.begin({ params: {}, environment: {}, steps: [waiting] });
  deepStrictEqual((await project.call("report", "--out", project.page)).status, 0);
  const html = await Deno.readTextFile(project.page);
  match(html, /<title>a\.yaml: at work after 0 of 1 steps<\/title>/);
  match(html, /class="node waiting"/);
  await runs.end({ state: "ok", seconds: 1, scores: {} });
});

Deno.test("`report` says what it wrote, and which runs there are to report on", async () => {
  await using project = await toyProject();
  const none = await project.call("report");
  deepStrictEqual(none.status, 1);
  match(
    none.errors,
    /^Cannot report on "last": the store \/.* remembers no such run, expected a run's id, a manifest, or last\n$/,
  );
  match(
    (await project.call("report", project.manifest)).errors,
    /remembers no run of it; run it first\n$/,
  );
  await project.run();
  const { out } = await project.call("report", "last", "--json", "--out", project.page);
  const [record] = await allRuns(project.store.path);
  deepStrictEqual(JSON.parse(out), { type: "report", run: record?.id, path: project.page });
  await project.run();
  const ids = (await allRuns(project.store.path)).map(({ id }) => id);
  const both = await project.call("report", record!.id.slice(0, 8), "--out", project.page);
  strictEqual(
    both.errors,
    `Cannot report on "${record!.id.slice(0, 8)}": it may be ${ids[0]} or ${
      ids[1]
    }, expected one; add letters\n`,
  );
});

async function toyProject(tools: Program["tools"] = TOY.tools): Promise<ReportProject> {
  const directory = await Deno.makeTempDir();
  const manifest = `${directory}/a.yaml`;
  await Deno.writeTextFile(manifest, MANIFEST);
  const project = await projectOf(manifest, { ...TOY, tools });
  return {
    ...project,
    async [Symbol.asyncDispose]() {
      await project[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}
