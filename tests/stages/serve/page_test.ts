import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { browserTest } from "../../support/browser.ts";
import { answered, openChat as open } from "../../support/chat_page.ts";
import { headingLevels, lowContrasts, overflows } from "../../support/page_check.ts";
import { serveFake } from "../../support/server_stub.ts";
import { until } from "../../support/wait.ts";

const HOSTILE =
  '<script>globalThis.bad = 1</script><img src="http://198.51.100.7/x" onerror="bad = 1">';
const SAYS = `A cat 🐈, 日本語: ${HOSTILE}\n\n\`\`\`js\nconst long = "${
  "x".repeat(70)
}";\n\`\`\`\nEnd`;

browserTest("the page streams a chat and reads well on every screen", async (browser) => {
  await using served = await serveFake({ says: SAYS });
  for (const [width, colorScheme] of [[1280, "light"], [390, "dark"]] as const) {
    const where = `${width} ${colorScheme}`;
    const { page, trouble } = await open(browser, served, { width, colorScheme });
    await page.getByText("Say something to the model").waitFor();
    strictEqual(await page.title(), "org/fake-1");
    for (const [at, text] of ["one", "two", "three", "four"].entries()) {
      await page.keyboard.type(text);
      await page.keyboard.press("Enter");
      await page.locator(".turn.model > .quiet", { hasText: "prompt of" }).nth(at).waitFor();
    }
    const words = await page.locator(".turn.model .words").last().innerText();
    ok(words.includes("A cat 🐈, 日本語:") && words.includes(HOSTILE), words);
    ok(!words.includes("```"));
    match(await page.locator(".turn.model pre").last().innerText(), /^const long = "x+";\n$/);
    match(
      await page.locator(".turn.model > .quiet").last().innerText(),
      /^\d+ tokens, [\d.]+ a second · first after [\d.]+ s · prompt of \d+$/,
    );
    // What was said before is asked with what is said now.
    const last = served.tokenizer.decode(served.engine.asked.at(-1)!.prompt);
    strictEqual(
      last,
      `<|endoftext|>one\n${
        [`${SAYS}\ntwo`, "three", "four"]
          .join(`\n${SAYS}\n`)
      }`,
    );
    if (width === 390) {
      ok(!await page.locator("#side").isVisible());
      await page.getByRole("button", { name: "Settings" }).click();
    }
    strictEqual(await page.locator("#side").isVisible(), true);
    deepStrictEqual(await overflows(page), [], where);
    deepStrictEqual(await lowContrasts(page), [], where);
    const levels = await headingLevels(page);
    strictEqual(levels.filter((level) => level === 1).length, 1);
    strictEqual(await page.evaluate("globalThis.bad"), undefined);
    deepStrictEqual(trouble(), [], where);
    await page.close();
  }
});

browserTest(
  "the page tells the model's precision, quality, speed and pages in use",
  async (browser) => {
    await using served = await serveFake({ says: "word ".repeat(400), delay: 20 });
    const { page, trouble } = await open(browser, served);
    const facts = async (list: string) =>
      Object.fromEntries(
        await page.locator(`${list} > div`).evaluateAll((rows) =>
          (rows as unknown as { children: { textContent: string }[] }[])
            .map(({ children: [name, value] }) => [name!.textContent, value!.textContent])
        ),
      );
    await page.locator("#card > div").first().waitFor();
    strictEqual(await page.locator("#scheme").innerText(), "W4A8KV4, groups of 64");
    deepStrictEqual(await facts("#card"), {
      "Bits a weight": "4.38",
      "Parameters": "3.6M",
      "Weights": "2.3 MB",
      "Context": "2,048 tokens",
      "Runs on": "no device",
    });
    strictEqual(
      await page.locator("#cost").innerText(),
      "It predicts text 24 % worse than in full precision. " +
        "For 78 of 100 tokens both find the same one likeliest.",
    );
    deepStrictEqual(await page.locator("#plot b").allInnerTexts(), ["19.13", "23.65", "78 %"]);
    const widths = await page.locator("#plot .part").evaluateAll((bars) =>
      (bars as unknown as { getAttribute(name: string): string }[])
        .map((bar) => Number(bar.getAttribute("width")))
    );
    // Of a hundred: 19.13 / 23.65, all, and 0.776.
    deepStrictEqual(widths, [80.89, 100, 77.6]);
    match(await page.locator("#protocol").innerText(), /^KL divergence 0.214 nats; WikiText-2, 8/);
    await page.fill("#max_tokens", "600");
    await page.fill("#text", "go");
    await page.keyboard.press("Enter");
    await until(async () => Number(await page.locator("#rate").innerText()) > 0);
    const engine = await facts("#engine");
    strictEqual(engine["Answering"], "1");
    const used = Math.ceil((served.engine.asked[0]!.prompt.length + 600) / 64);
    strictEqual(engine["Pages in use"], `${used} of 256`);
    ok(await page.locator("#trace polyline").getAttribute("points"));
    await page.getByRole("button", { name: "Stop" }).click();
    await answered(page);
    match(await page.locator(".turn.model > .quiet").innerText(), /stopped/);
    await until(async () => (await facts("#engine"))["Pages in use"] === "0 of 256");
    strictEqual(served.engine.stats().running, 0);
    deepStrictEqual(trouble(), []);
    await page.close();
  },
);

browserTest("the page is used by keyboard alone", async (browser) => {
  await using served = await serveFake({ says: "word ".repeat(400), delay: 10 });
  const { page } = await open(browser, served);
  await page.getByText("Say something to the model").waitFor();
  await page.keyboard.type("first line");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("second line");
  ok((await page.locator("#text").boundingBox())!.height > 55, "it does not grow");
  await page.keyboard.press("Enter");
  await page.locator(".turn.model .words").getByText("word").waitFor();
  await page.keyboard.press("Escape");
  await answered(page);
  strictEqual(served.engine.asked.length, 1);
  match(served.tokenizer.decode(served.engine.asked[0]!.prompt), /first line\nsecond line/);
  strictEqual(await page.locator(":focus").getAttribute("id"), "text");
  const reached = new Set<string | null>();
  for (let presses = 0; presses < 40; presses++) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate("document.activeElement.id"));
  }
  for (
    const id of ["fresh", "talk", "text", "send", "system", "temperature", "max_tokens", "usual"]
  ) {
    ok(reached.has(id), `${id} is not reached: ${[...reached]}`);
  }
  await page.locator("#fresh").focus();
  await page.keyboard.press("Enter");
  strictEqual(await page.locator(".turn").count(), 0);
  await page.keyboard.type("anew");
  await page.keyboard.press("Enter");
  await page.locator(".turn.model .words").getByText("word").waitFor();
  strictEqual(served.tokenizer.decode(served.engine.asked[1]!.prompt), "<|endoftext|>anew");
  await page.close();
});

browserTest("the page asks for the key of a server that has one", async (browser) => {
  await using served = await serveFake({ says: "yes", options: { apiKey: "the key" } });
  for (const width of [1280, 390]) {
    const { page } = await open(browser, served, { width });
    await page.getByText("This server asks for an API key").waitFor();
    strictEqual(await page.locator(":focus").getAttribute("id"), "key");
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await page.fill("#key", "the key");
    await page.keyboard.press("Enter");
    await page.getByText("Say something to the model").waitFor();
    await page.fill("#text", "hi");
    await page.locator("#text").press("Enter");
    await page.locator(".turn.model").getByText("yes").waitFor();
    await page.close();
  }
});

browserTest(
  "the page goes on with a text where the model has no chat template",
  async (browser) => {
    await using served = await serveFake({ says: " upon a time", template: null });
    const { page, trouble } = await open(browser, served);
    await page.getByText("This model has no chat template").waitFor();
    await page.keyboard.type("Once");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.locator(".turn.model").getByText("upon a time").waitFor();
    strictEqual(served.tokenizer.decode(served.engine.asked[0]!.prompt), "Once");
    deepStrictEqual(trouble(), []);
    await page.close();
  },
);

browserTest("the page tells of an error and goes on", async (browser) => {
  await using served = await serveFake({ says: "yes", context: 40, options: { strict: true } });
  const { page } = await open(browser, served);
  await page.getByText("Say something to the model").waitFor();
  await page.keyboard.type("hi");
  await page.keyboard.press("Enter");
  match(
    await page.locator(".trouble").innerText(),
    /the context is 40 tokens; .* lower max_tokens$/,
  );
  await page.fill("#max_tokens", "8");
  await page.fill("#text", "again");
  await page.locator("#text").press("Enter");
  await page.locator(".turn.model").getByText("yes").waitFor();
  strictEqual(served.tokenizer.decode(served.engine.asked[0]!.prompt), "<|endoftext|>again");
  await page.close();
});

browserTest("the page about what there is lists every route and reads well", async (browser) => {
  await using served = await serveFake({ options: { apiKey: "right" } });
  for (const [width, colorScheme] of [[1280, "light"], [390, "dark"]] as const) {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    // A slash behind it changes nothing.
    await page.goto(`${served.url}/docs${width === 390 ? "/" : ""}`);
    await page.fill("#word", "right");
    await page.locator("#word").press("Enter");
    const route = page.locator("details", { hasText: "POST /v1/chat/completions" });
    await route.locator("summary").click();
    await route.getByText("response_format", { exact: true }).waitFor();
    ok(await page.locator("details").count() > 15);
    deepStrictEqual(await overflows(page), []);
    await page.close();
  }
});
