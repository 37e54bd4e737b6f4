// What one does at the page besides asking: reading, copying, editing, keeping, comparing.
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { browserTest } from "../../support/browser.ts";
import { answered, openChat, prompts, say } from "../../support/chat_page.ts";
import { lowContrasts, overflows } from "../../support/page_check.ts";
import { CARD, serveFake } from "../../support/server_stub.ts";
import { until } from "../../support/wait.ts";

const MARKDOWN = ` Cats are **small**: [more](https://example.org), [bad](javascript:bad=1),
![far](http://198.51.100.7/x.png)

# A heading

1. one
2. two

| cat | age |
|-----|----:|
| Tom | 3   |

\`\`\`js
const cat = "Tom"; // a name
\`\`\`
`;

browserTest(
  "Markdown becomes text, lists, tables and code, and nothing of it runs",
  async (browser) => {
    await using served = await serveFake({ says: MARKDOWN });
    for (const [width, colorScheme] of [[1280, "light"], [390, "dark"]] as const) {
      const { page, trouble } = await openChat(browser, served, { width, colorScheme });
      for (const text of ["one", "two", "three"]) await say(page, text);
      const words = page.locator(".turn.model .words").last();
      // Answers that begin with a space do not show it.
      match((await words.textContent())!, /^Cats are small: more/);
      strictEqual(await words.locator("strong").innerText(), "small");
      deepStrictEqual(await words.locator("li").allInnerTexts(), ["one", "two"]);
      strictEqual(await words.locator("h3").innerText(), "A heading");
      strictEqual(await words.locator("td.to-right").innerText(), "3");
      strictEqual(await words.locator(".hljs-string").innerText(), '"Tom"');
      const links = await words.locator("a").evaluateAll((all) =>
        (all as unknown as { href: string; rel: string; target: string }[])
          .map(({ href, rel, target }) => [href, rel, target])
      );
      deepStrictEqual(links, [
        ["https://example.org/", "noopener noreferrer", "_blank"],
        ["http://198.51.100.7/x.png", "noopener noreferrer", "_blank"],
      ]);
      strictEqual(await words.locator("img").count(), 0);
      deepStrictEqual(await overflows(page), []);
      deepStrictEqual(await lowContrasts(page), []);
      deepStrictEqual(trouble(), []);
      await page.close();
    }
  },
);

browserTest("answers and code are copied as they were written", async (browser) => {
  await using served = await serveFake({ says: MARKDOWN });
  const { page } = await openChat(browser, served);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await say(page, "what I *said*");
  const copied = async (at: number) => {
    await until(async () => await page.getByText("Copied").count() === 0);
    await page.getByRole("button", { name: "Copy" }).nth(at).click();
    await page.getByText("Copied").waitFor();
    return await page.evaluate("navigator.clipboard.readText()");
  };
  strictEqual(await copied(0), "what I *said*");
  strictEqual(await copied(1), 'const cat = "Tom"; // a name');
  strictEqual(await copied(2), MARKDOWN.trimStart());
  await page.close();
});

browserTest("an answer is made anew, and what was said is written anew", async (browser) => {
  await using served = await serveFake({ says: (prompt) => `answer to ${prompt.length}` });
  const { page, trouble } = await openChat(browser, served);
  for (const text of ["first", "second", "third"]) await say(page, text);
  strictEqual(await page.getByRole("button", { name: "Regenerate" }).count(), 1);
  await page.getByRole("button", { name: "Regenerate" }).click();
  await until(() => served.engine.asked.length === 4);
  await answered(page);
  strictEqual(prompts(served)[3], prompts(served)[2]);
  strictEqual(await page.locator(".turn.model").count(), 3);
  await page.getByRole("button", { name: "Edit" }).nth(1).click();
  strictEqual(await page.inputValue("#text"), "second");
  await page.keyboard.press("Escape");
  ok(!await page.locator("#editing").isVisible());
  strictEqual(await page.locator(".turn.user").count(), 3);
  await page.getByRole("button", { name: "Edit" }).nth(1).click();
  await say(page, "another");
  deepStrictEqual(await page.locator(".turn.user").allInnerTexts(), ["first", "another"]);
  match(prompts(served)[4]!, /^<\|endoftext\|>first\nanswer to \d+\nanother$/);
  // The arrow up is a way to the last one.
  await page.locator("#text").press("ArrowUp");
  strictEqual(await page.inputValue("#text"), "another");
  deepStrictEqual(trouble(), []);
  await page.close();
});

browserTest("the system prompt and the settings are asked with, and kept", async (browser) => {
  await using served = await serveFake({ says: "yes" });
  const { page } = await openChat(browser, served);
  await page.fill("#system", "Be brief");
  await page.getByText("More").click();
  const values = { temperature: 1.5, top_p: 0.9, top_k: 20, min_p: 0.1, seed: 7, max_tokens: 33 };
  for (const [id, value] of Object.entries(values)) await page.fill(`#${id}`, String(value));
  await page.fill("#repetition_penalty", "1.1");
  await say(page, "hi");
  const check = () => {
    const { prompt, maxTokens, sampling } = served.engine.asked.at(-1)!;
    strictEqual(served.tokenizer.decode(prompt), "<|endoftext|>Be brief\nhi");
    deepStrictEqual(
      [maxTokens, sampling.temperature, sampling.topP, sampling.topK, sampling.minP, sampling.seed],
      [33, 1.5, 0.9, 20, 0.1, 7],
    );
  };
  check();
  await page.reload();
  await page.getByText("Say something to the model").waitFor();
  await say(page, "hi");
  strictEqual(served.engine.asked.length, 2);
  check();
  await page.getByRole("button", { name: "Usual values" }).click();
  await page.fill("#text", "hi");
  await page.locator("#text").press("Enter");
  await until(() => served.engine.asked.length === 3);
  const { prompt, maxTokens } = served.engine.asked[2]!;
  strictEqual(maxTokens, 512);
  match(served.tokenizer.decode(prompt), /^<\|endoftext\|>hi\n/);
  await page.close();
});

browserTest("chats are kept in the browser, opened, exported and deleted", async (browser) => {
  await using served = await serveFake({ says: "yes" });
  for (const width of [1280, 390]) {
    const { page, trouble } = await openChat(browser, served, { width });
    const show = async () => {
      if (!await page.locator("#past").isVisible()) await page.click("#chats-fold");
    };
    await say(page, "of cats");
    await page.click("#fresh");
    await say(page, "of dogs");
    await page.reload();
    await page.getByText("Say something to the model").waitFor();
    await show();
    deepStrictEqual(await page.locator("#chats .name").allInnerTexts(), ["of dogs", "of cats"]);
    await page.getByRole("button", { name: "of cats" }).click();
    deepStrictEqual(await page.locator(".turn.user").allInnerTexts(), ["of cats"]);
    await say(page, "and more");
    match(prompts(served).at(-1)!, /of cats\nyes\nand more$/);
    await show();
    // What was gone on with stands first.
    deepStrictEqual(await page.locator("#chats .name").allInnerTexts(), ["of cats", "of dogs"]);
    deepStrictEqual(await overflows(page), []);
    const saved = async (name: string) => {
      const [file] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name, exact: true }).click(),
      ]);
      return [file.suggestedFilename(), await Deno.readTextFile((await file.path())!)] as const;
    };
    const menu = () => page.locator(".menu summary").first().click();
    await menu();
    const [name, markdown] = await saved("Markdown");
    strictEqual(name, "of_cats.md");
    match(markdown, /^\*\*You\*\*\n\nof cats\n\n---\n\n\*\*org\/fake-1\*\*\n\nyes\n/);
    await menu();
    const { title, messages } = JSON.parse((await saved("JSON"))[1]);
    strictEqual(title, "of cats");
    deepStrictEqual(messages.slice(0, 2), [
      { role: "user", content: "of cats" },
      { role: "assistant", model: CARD.name, content: "yes" },
    ]);
    strictEqual(JSON.parse((await saved("Export all"))[1]).length, 2);
    await menu();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    deepStrictEqual(await page.locator("#chats .name").allInnerTexts(), ["of dogs"]);
    strictEqual(await page.locator(".turn").count(), 0);
    await show();
    page.once("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Delete all" }).click();
    strictEqual(await page.locator("#chats .name").count(), 0);
    strictEqual(await page.evaluate("localStorage.getItem('quattuor.chats')"), "[]");
    deepStrictEqual(trouble(), []);
    await page.close();
  }
});

browserTest("two models answer side by side, each going on with what it said", async (browser) => {
  const other = "org/fake-2";
  await using served = await serveFake({
    says: () => `answer ${served.engine.asked.length}`,
    options: { names: [other] },
  });
  const { page, trouble } = await openChat(browser, served);
  ok(!await page.locator("#beside").isVisible(), "another name is no other model");
  const bodies: { model: string; messages: { content: string }[] }[] = [];
  await page.route("**/v1/models", async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    Object.assign(json.data[1], { root: other, meta: { scheme: "W16A16KV16" } });
    await route.fulfill({ response, json });
  });
  // What a server of two models tells.
  await page.route("**/status", async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    const { quality: _, ...card } = { ...json.model, name: other, scheme: "W16A16KV16" };
    json.models = [{ ...json }, { ...json, model: card, context: 1024 }];
    await route.fulfill({ response, json });
  });
  page.on("request", (request) => {
    if (request.url().endsWith("/chat/completions")) bodies.push(request.postDataJSON());
  });
  await page.reload();
  await page.getByText("Say something to the model").waitFor();
  strictEqual(
    await page.locator("#beside option").last().innerText(),
    "org/fake-2, W16A16KV16",
  );
  ok(await page.locator("#quality").isVisible());
  await until(async () => (await page.locator("#engine").innerText()).includes("0 of 512"));
  await page.selectOption("#model", other);
  await page.locator("#name", { hasText: other }).waitFor();
  strictEqual(await page.locator("#scheme").innerText(), "W16A16KV16");
  ok(!await page.locator("#quality").isVisible(), "it was not measured");
  strictEqual(await page.getAttribute("#max_tokens", "max"), "1024");
  await page.selectOption("#model", CARD.name);
  await page.selectOption("#beside", other);
  await say(page, "hi");
  await say(page, "again");
  deepStrictEqual(await page.locator(".beside .turn h2").allInnerTexts(), [
    ...[CARD.name, other],
    ...[CARD.name, other],
  ]);
  const left = (await page.locator(".beside").first().locator(".turn").first().boundingBox())!;
  const right = (await page.locator(".beside").first().locator(".turn").last().boundingBox())!;
  ok(left.x + left.width < right.x && left.y === right.y);
  deepStrictEqual(bodies.map(({ model }) => model), [CARD.name, other, CARD.name, other]);
  const shown = await page.locator(".beside").first().locator(".words").allInnerTexts();
  deepStrictEqual(bodies.slice(2).map(({ messages }) => messages[1]!.content), shown);
  deepStrictEqual(trouble(), []);
  await page.close();
});

browserTest("speed is told while an answer comes, and thoughts stand apart", async (browser) => {
  const says = `<think>${"hm ".repeat(60)}</think>${"word ".repeat(400)}`;
  const template = "{% for m in messages %}{{ m.content }}{% endfor %}{# </think> #}";
  await using served = await serveFake({ says, template, delay: 20 });
  const { page } = await openChat(browser, served);
  await page.getByText("Say something to the model").waitFor();
  await page.keyboard.type("go");
  await page.keyboard.press("Enter");
  const note = page.locator(".turn.model > .quiet");
  await until(async () => /^\d+ tokens, [\d.]+ a second$/.test(await note.innerText()));
  const early = parseInt(await note.innerText());
  await until(async () => parseInt(await note.innerText()) > early);
  await page.getByRole("button", { name: "Stop" }).click();
  await answered(page);
  match(await note.innerText(), /stopped$/);
  strictEqual(await page.locator(".thought summary").innerText(), "Thoughts");
  match((await page.locator(".thought p").textContent())!, /^(hm )+/);
  ok(!(await page.locator(".turn.model .words").innerText()).includes("hm"));
  await page.close();
});

browserTest("the end of an answer stays in sight, unless one reads further up", async (browser) => {
  await using served = await serveFake({ says: "A line.\n\n".repeat(60), delay: 5 });
  const { page } = await openChat(browser, served);
  const below = async () =>
    Number(
      await page.locator("#talk").evaluate((talk) => {
        const { scrollHeight, scrollTop, clientHeight } = talk as unknown as Record<string, number>;
        return scrollHeight! - scrollTop! - clientHeight!;
      }),
    );
  await say(page, "go");
  ok(await below() < 3, `${await below()} are below`);
  await page.fill("#text", "again");
  await page.locator("#text").press("Enter");
  await until(async () => (await page.locator(".turn.model").last().innerText()).length > 200);
  await page.locator("#talk").evaluate((talk) => Object.assign(talk, { scrollTop: 0 }));
  await answered(page);
  ok(await below() > 500);
  await page.close();
});
