import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Manifest } from "../../../pipeline/manifest/manifest.ts";
import { parseManifest, readManifest } from "../../../pipeline/manifest/read_manifest.ts";
import type { Setting } from "../../../pipeline/manifest/override.ts";
import { problemLines, stages } from "../../support/manifest_stages.ts";

/** Files by path; what `parse()` is asked for is in the directory `configs`. */
type Files = Readonly<Record<string, string>>;

function parse(files: Files, ...set: Setting[]): Manifest {
  const read = (path: string) => {
    const text = files[path];
    if (text === undefined) throw new Error("there is no such file");
    return text;
  };
  const path = "configs/a.yaml";
  return parseManifest(files[path] ?? "", { path, stages, set, read });
}

function problemsOf(files: Files, ...set: Setting[]): string[] {
  return problemLines(() => parse(files, ...set));
}

/** What decides keys: names, stages, parameters and wiring. */
function content({ steps }: Manifest) {
  const all = steps.map(({ name, stage, params, inputs }) => ({ name, stage, params, inputs }));
  return all.sort((a, b) => a.name < b.name ? -1 : 1);
}

const BASE = `params: { model: some/model, windows: 16, unused_there: 1 }
steps:
  source: { stage: load, with: { path: "\${model}" } }
  text:
    stage: tokenize
    from: { model: source }
    with: { text: stories, windows: "\${windows}" }
  w4:
    stage: quantize
    from: { model: source }
    with: { bits: 4, skips: [a, b], scheme: { symmetric: true, alpha: 0.3 } }
  quality: { stage: evaluate, from: { model: w4, tokens: text } }
  extra: { stage: tokenize, from: { model: source }, with: { text: "\${unused_there}x" } }
`;

Deno.test("`extends` merges mappings, replaces lists and scalars, and null takes away", () => {
  const extending = parse({
    "configs/base.yaml": BASE,
    "configs/a.yaml": `extends: base.yaml
params: { windows: 8 }
steps:
  w4: { with: { group: 64, skips: [c], scheme: { alpha: null } } }
  quality: { from: { model: source } }
  extra: null
  more: { stage: load, with: { path: x } }
`,
  });
  const written = parse({
    "configs/a.yaml": `params: { model: some/model, windows: 8 }
steps:
  source: { stage: load, with: { path: "\${model}" } }
  text: { stage: tokenize, from: { model: source }, with: { text: stories, windows: "\${windows}" } }
  w4:
    stage: quantize
    from: { model: source }
    with: { bits: 4, group: 64, skips: [c], scheme: { symmetric: true } }
  quality: { stage: evaluate, from: { model: source, tokens: text } }
  more: { stage: load, with: { path: x } }
`,
  });
  deepStrictEqual(content(extending), content(written));
  deepStrictEqual(extending.params, written.params);
});

Deno.test("`extends` takes a list of which later ones win, and bases extend others", () => {
  const files = {
    "configs/deep/base.yaml": BASE,
    "configs/deep/eight.yaml": "extends: base.yaml\nsteps: { w4: { with: { bits: 8 } } }",
    "configs/three.yaml": "steps: { w4: { with: { bits: 3, group: 32 } } }",
    "configs/a.yaml": "extends: [deep/eight.yaml, three.yaml, deep/base.yaml]",
    "configs/b.yaml": "extends: [deep/base.yaml, deep/eight.yaml, three.yaml]",
  };
  const w4 = (files: Files) => parse(files).steps.find(({ name }) => name === "w4")?.params;
  const scheme = { symmetric: true, alpha: 0.3 };
  // The last base says 4 bits again, and nothing of groups.
  deepStrictEqual(w4(files), { bits: 4, group: 32, skips: ["a", "b"], scheme });
  const other = { ...files, "configs/a.yaml": files["configs/b.yaml"] };
  deepStrictEqual(w4(other), { bits: 3, group: 32, skips: ["a", "b"], scheme });
});

Deno.test("`sources` has every file once with the digest of its bytes, the manifest first", () => {
  const files = {
    "configs/base.yaml": `\uFEFF${BASE}# ü\n`,
    "configs/b.yaml": "extends: base.yaml",
    "configs/a.yaml": "extends: [base.yaml, b.yaml, ./base.yaml]\n",
  };
  const expected = ["configs/a.yaml", "configs/base.yaml", "configs/b.yaml"].map((path) => ({
    path,
    sha256: createHash("sha256").update(new TextEncoder().encode(files[path as keyof typeof files]))
      .digest("hex"),
  }));
  deepStrictEqual(parse(files).sources, expected);
});

Deno.test("problems in a base are told with its name, after those of the manifest", () => {
  deepStrictEqual(
    problemsOf({
      "configs/sub/base.yaml": BASE.replace("tokenize", "tokenise").replace("bits: 4", "bits: 5"),
      "configs/a.yaml": `extends: sub/base.yaml
steps:
  w4: { with: { grup: 3 } }
  quality: { from: { model: sorce } }
extend: x
`,
    }, "text.windows=0"),
    [
      'configs/a.yaml:3:17: Cannot find "grup" in the parameters of stage "quantize": did you mean "group"?',
      'configs/a.yaml:4:29: Cannot feed "model" from step "sorce": did you mean "source"?',
      'configs/a.yaml:5:1: Cannot use "extend" in a manifest: did you mean "extends"?',
      'configs/sub/base.yaml:5:12: Cannot find stage "tokenise": did you mean "tokenize"?',
      'configs/sub/base.yaml:11:19: Cannot use 5 for "bits" of step "w4": expected one of 2|3|4|8',
    ],
  );
});

Deno.test("what cannot be extended is told where the manifest says so", () => {
  const cases: [files: Files, problems: readonly string[]][] = [
    [{ "configs/a.yaml": "extends: none.yaml" }, [
      'configs/a.yaml:1:10: Cannot extend "none.yaml": there is no such file',
    ]],
    [{ "configs/a.yaml": "extends: a.yaml" }, [
      'configs/a.yaml:1:10: Cannot extend "a.yaml": configs/a.yaml extends configs/a.yaml',
    ]],
    [
      {
        "configs/a.yaml": "extends: [b.yaml]",
        "configs/b.yaml": "extends: c/c.yaml",
        "configs/c/c.yaml": "steps: {}\nextends: ../b.yaml",
      },
      [
        'configs/c/c.yaml:2:10: Cannot extend "../b.yaml": configs/b.yaml extends configs/c/c.yaml extends configs/b.yaml',
      ],
    ],
    [{ "configs/a.yaml": "extends: [b.yaml, 5, { x: y }, '']", "configs/b.yaml": "- a" }, [
      "configs/a.yaml:1:19: Cannot extend a number: expected the path of a manifest, or a list of paths",
      "configs/a.yaml:1:22: Cannot extend a mapping: expected the path of a manifest, or a list of paths",
      "configs/a.yaml:1:32: Cannot extend text: expected the path of a manifest, or a list of paths",
      "configs/b.yaml:1:1: Cannot extend this: it is a list, expected a mapping such as steps: …",
    ]],
    [{ "configs/a.yaml": "extends: b.yaml\na: 1", "configs/b.yaml": "a: 1\nb: [" }, [
      "configs/b.yaml:2:5: Cannot read YAML: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ]],
  ];
  for (const [files, problems] of cases) deepStrictEqual(problemsOf(files), problems);
});

Deno.test("a chain of more files than anybody writes is refused, and a wide tree is read in linear time", () => {
  const chain = (path: string) => `extends: ${Number(path.match(/\d+/)?.[0] ?? 0) + 1}.yaml`;
  const read = (path: string) => chain(path);
  throws(
    () => parseManifest(chain("0"), { path: "0.yaml", stages, read }),
    /^ManifestError: 99\.yaml:1:10: Cannot extend "100\.yaml": there are 100 files already$/,
  );
  const twice = (path: string) => {
    const next = Number(path.match(/\d+/)?.[0]) + 1;
    return next === 60 ? BASE : `extends: [${next}.yaml, ${next}.yaml]`;
  };
  const { sources } = parseManifest(twice("0"), { path: "0.yaml", stages, read: twice });
  strictEqual(sources.length, 60);
});

Deno.test("a param of a base that nothing uses any more goes, one of the manifest is a problem", () => {
  const files = (own: string) => ({
    "configs/base.yaml": BASE,
    "configs/a.yaml": `extends: base.yaml\n${own}steps: { extra: null }\n`,
  });
  ok(!("unused_there" in parse(files("")).params));
  deepStrictEqual(problemsOf(files("params: { unused_there: 2 }\n")), [
    'configs/a.yaml:2:11: Cannot find a use of param "unused_there": expected ${unused_there} in the "with" of a step',
  ]);
  match(problemsOf(files(""), "unused_there=3")[0] ?? "", /^configs\/base\.yaml:1:43: Cannot find/);
});

Deno.test("`readManifest()` reads bases from the disk, relative to the file, and says what they are", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${directory}/sub`);
    await Deno.writeTextFile(`${directory}/base.yaml`, BASE);
    await Deno.writeTextFile(`${directory}/sub/a.yaml`, "extends: ../base.yaml");
    const manifest = await readManifest(`${directory}/sub/a.yaml`, { stages });
    deepStrictEqual(manifest.sources.map(({ path }) => path), [
      `${directory}/sub/a.yaml`,
      `${directory}/base.yaml`,
    ]);
    await Deno.writeFile(`${directory}/base.yaml`, new Uint8Array([0xff, 0xfe, 0x61]));
    await Deno.writeTextFile(`${directory}/sub/a.yaml`, "extends: [../base.yaml, ..]");
    const error: Error = await readManifest(`${directory}/sub/a.yaml`, { stages }).then(
      () => new Error("nothing was wrong"),
      (error) => error,
    );
    const [first, second, ...rest] = error.message.split("\n");
    match(
      first ?? "",
      /a\.yaml:1:11: Cannot extend "\.\.\/base\.yaml": it is no text, expected YAML/,
    );
    match(second ?? "", /a\.yaml:1:25: Cannot extend "\.\.": [^/]*$/);
    deepStrictEqual(rest, []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("`$import` puts a mapping of another file below what stands beside it, at any depth", () => {
  const files = {
    "configs/parts/w4.yaml":
      "with: { bits: 4, group: 64, scheme: { symmetric: true, alpha: 0.3 } }",
    "configs/parts/all.yaml": BASE,
    "configs/a.yaml": `params: { $import: parts/all.yaml#params, unused_there: null }
steps:
  $import: parts/all.yaml#steps
  extra: null
  w4: null
  w3:
    $import: [parts/all.yaml#steps/w4, parts/w4.yaml]
    with: { bits: 3, scheme: { alpha: null } }
  quality: { from: { model: w3 } }
`,
  };
  const { steps, params, sources } = parse(files);
  deepStrictEqual(params, { model: "some/model", windows: 16 });
  const w3 = steps.find(({ name }) => name === "w3");
  // What is named last lies over what is named first; behind a null is the stage's own 0.5.
  deepStrictEqual([w3?.stage, w3?.inputs, w3?.params], [
    "quantize",
    { model: "source" },
    { bits: 3, group: 64, skips: ["a", "b"], scheme: { symmetric: true, alpha: 0.5 } },
  ]);
  deepStrictEqual(steps.map(({ name }) => name).sort(), ["quality", "source", "text", "w3"]);
  deepStrictEqual(sources.map(({ path }) => path), [
    "configs/a.yaml",
    "configs/parts/all.yaml",
    "configs/parts/w4.yaml",
  ]);
});

Deno.test("what cannot be imported is told where it is said, and problems inside where they stand", () => {
  const cases: [files: Files, problems: readonly string[]][] = [
    [{ "configs/a.yaml": "steps: { $import: none.yaml }" }, [
      'configs/a.yaml:1:19: Cannot import "none.yaml": there is no such file',
    ]],
    [{ "configs/a.yaml": "params: {}\nsteps: { $import: a.yaml#steps }" }, [
      'configs/a.yaml:2:19: Cannot import "a.yaml": configs/a.yaml imports configs/a.yaml',
    ]],
    [{ "configs/a.yaml": "steps: { $import: b.yaml#step/w4 }", "configs/b.yaml": BASE }, [
      'configs/a.yaml:1:19: Cannot import "b.yaml#step/w4": there is no "step" in b.yaml',
    ]],
    [{
      "configs/a.yaml": "steps: { $import: [5, b.yaml#params/model] }",
      "configs/b.yaml": BASE,
    }, [
      "configs/a.yaml:1:20: Cannot import a number: expected file.yaml, or file.yaml#steps/name for a part of it, or a list of paths",
      'configs/a.yaml:1:23: Cannot import "b.yaml#params/model": it is text, expected a mapping',
    ]],
  ];
  for (const [files, problems] of cases) {
    const found = problemsOf(files);
    deepStrictEqual(found.slice(0, problems.length), problems);
  }
  const inside = {
    "configs/a.yaml": "steps: { $import: b.yaml#steps }\nparams: { model: m, windows: 8 }",
  };
  const typo = BASE.replace(
    "params: { model: some/model, windows: 16, unused_there: 1 }",
    "params: {}",
  )
    .replace(/^ {2}extra:.*$/m, "").replace("group", "grup").replace("bits: 4", "bits: 5");
  match(
    problemsOf({ ...inside, "configs/b.yaml": typo })[0] ?? "",
    /^configs\/b\.yaml:11:\d+: Cannot use 5 for "bits" of step "w4"/,
  );
});
