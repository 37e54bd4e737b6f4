/** How a family of byte-level tokenizers cuts text before merging, as `tokenizer.json` says it. */
export interface PreTokenizer {
  readonly preTokenizer: unknown;
  /** Whether text is brought to composed form first, as the models' own tokenizers do. */
  readonly composed: boolean;
  /** Whether a piece that is a token stays whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether texts begin with the first token where the metadata does not say. */
  readonly bos: boolean;
}

const BYTES = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
const WORDS_OF_GPT2 = { ...BYTES, use_regex: true };
const NO_MORE = { ...BYTES, use_regex: false };
const PLAIN = { composed: false, ignoreMerges: false, bos: false };

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORDS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const LINES = "\\s*[\\r\\n]+";
const SPACES = "\\s+(?!\\S)|\\s+";
const SYMBOLS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
const UPPER = "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}";
const LOWER = "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}";
const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";

/** Words that go from capitals to small letters, with what may stand before and behind them. */
function casedWords(behind: string, not = ""): string {
  const begin = "[^\\r\\n\\p{L}\\p{N}]?";
  const [upper, lower] = [`[${UPPER}${not}]`, `[${LOWER}${not}]`];
  return `${begin}${upper}*${lower}+${behind}|${begin}${upper}+${lower}*${behind}`;
}

function split(pattern: string): unknown {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}

function sequence(...pretokenizers: readonly unknown[]): PreTokenizer {
  return { ...PLAIN, preTokenizer: { type: "Sequence", pretokenizers } };
}

/** Cuts at one pattern after another. */
function cut(...patterns: readonly string[]): PreTokenizer {
  return sequence(...patterns.map(split), NO_MORE);
}

/** A class of characters by the ranges of their numbers. */
function characters(list: string): string {
  const code = (hex: string) => `\\x{${hex}}`;
  return `[${list.split(" ").map((range) => range.split("-").map(code).join("-")).join("")}]`;
}

const gpt2: PreTokenizer = { ...PLAIN, preTokenizer: WORDS_OF_GPT2 };
const digits = sequence({ type: "Digits", individual_digits: true }, WORDS_OF_GPT2);
const threeDigits = cut(`${CONTRACTIONS}|${WORDS}|\\p{N}{1,3}|${SYMBOLS}|${LINES}|${SPACES}`);
const llama3: PreTokenizer = { ...threeDigits, ignoreMerges: true, bos: true };
const oneDigit = cut(`${CONTRACTIONS}|${WORDS}|\\p{N}|${SYMBOLS}|${LINES}|${SPACES}`);
const qwen2: PreTokenizer = { ...oneDigit, composed: true };
const qwen35: PreTokenizer = {
  ...cut(
    `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${LINES}|${SPACES}`,
  ),
  composed: true,
};
const tekken: PreTokenizer = {
  ...cut(`${casedWords("")}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES}|${SPACES}`),
  ignoreMerges: true,
  bos: true,
};
const gpt4o = cut(
  `${
    casedWords(`${CONTRACTIONS}?`)
  }|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES}|${SPACES}`,
);
const CJK = characters("4e00-9fa5 3040-309f 30a0-30ff");
const SIGN = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+";
const SIGNS = `${SIGN}|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+`;
const deepseek3 = cut("\\p{N}{1,3}", `${CJK}+`, `${SIGNS}[\\r\\n]*|${LINES}|${SPACES}`);
const HAN_AND_HANGUL = `${characters("4e00-9fa5 800-4e00 ac00-d7ff")}+`;
const bloom = cut(` ?[^(\\s|.,!?${characters("2026 3002 ff0c 3001 964 6d4 60c").slice(1, -1)})]+`);
const bailing = cut(
  `'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|${SPACES}`,
);
/** Digits in threes, counted from the right. */
const THREES = "(?=(?:\\p{N}{3})*(?!\\p{N}))";
const tinyAya = cut(
  "\\d{1,3}(?=(?:\\d{3})*\\b)",
  `${
    casedWords(`${CONTRACTIONS}?`)
  }|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES}|${SPACES}`,
);

/** Letters with case when DeepSeek's first tokenizers were made. */
const CASED = characters(
  "41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376-377 37b-37d 37f 386 " +
    "388-38a 38c 38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba " +
    "1cbd-1cbf 1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 " +
    "1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb " +
    "1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d " +
    "212f-2134 2139 213c-213f 2145-2149 214e 2183-2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2-2cf3 " +
    "a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a " +
    "ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df 1e900-1e943",
);

/**
 * Pre-tokenizers by the name that `tokenizer.ggml.pre` gives them: all of llama.cpp's at commit
 * 00ad355 (`src/llama-vocab.cpp`) that cut bytes. Where its patterns are said there to stand for those
 * of a model's own `tokenizer.json`, which its engine cannot run, these are the model's.
 */
export const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  "gpt-2": gpt2,
  "phi-2": gpt2,
  "jina-es": gpt2,
  "jina-de": gpt2,
  "jina-v2-es": gpt2,
  "jina-v2-de": gpt2,
  "gigachat": gpt2,
  "a.x-4.0": gpt2,
  "mellum": gpt2,
  "modern-bert": gpt2,
  "exaone4": gpt2,
  "mpt": gpt2,
  "olmo": gpt2,
  "jais": gpt2,
  "trillion": gpt2,
  "granite-docling": gpt2,
  "smollm": digits,
  "starcoder": digits,
  "refact": digits,
  "command-r": digits,
  "codeshell": digits,
  "exaone": digits,
  "minerva-7b": digits,
  "mellum2": digits,
  "llama-bpe": llama3,
  "llama3": llama3,
  "llama-v3": llama3,
  "falcon3": llama3,
  "falcon-h1": llama3,
  "pixtral": llama3,
  "midm-2.0": llama3,
  "lfm2": llama3,
  "jina-v5-nano": llama3,
  "smaug-bpe": threeDigits,
  "dbrx": threeDigits,
  "glm4": threeDigits,
  "chatglm-bpe": threeDigits,
  "minicpm5": {
    ...cut("\\p{N}{1,3}", `${CONTRACTIONS}|${WORDS}|\\p{N}+|${SYMBOLS}|${LINES}|${SPACES}`),
    ignoreMerges: true,
  },
  "jais-2": cut(
    `${CONTRACTIONS}|${WORDS}|\\p{N}{1,3}|${SYMBOLS}|${LINES}|${
      [512, 256, 128, 64, 32, 16, 8, 4].map((count) => `\\s{${count}}(?!\\S)`).join("|")
    }|\\s{1,2}(?!\\S)|\\s{1}`,
  ),
  "qwen2": qwen2,
  "deepseek-r1-qwen": qwen2,
  "megrez": qwen2,
  "kormo": oneDigit,
  "f2llmv2": oneDigit,
  "stablelm2": oneDigit,
  "hunyuan": oneDigit,
  "solar-open": oneDigit,
  "grok-2": oneDigit,
  "qwen35": qwen35,
  "ufakzeka": cut(`${WORDS}|\\p{N}|${SYMBOLS}|${LINES}|${SPACES}`),
  "laguna": cut(
    "[^\\n]+|[\\n]+",
    `${CONTRACTIONS}|${WORDS}|\\p{N}|${SYMBOLS}|${LINES}|${SPACES}`,
  ),
  "seed-coder": cut(
    `${CONTRACTIONS}|${WORDS}|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${LINES}|${SPACES}`,
  ),
  "exaone-moe": cut(
    `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|${SPACES}`,
  ),
  "bailingmoe": bailing,
  "bailingmoe2": bailing,
  "llada-moe": bailing,
  "tekken": tekken,
  "gpt-4o": gpt4o,
  "llama4": gpt4o,
  "kanana2": gpt4o,
  "talkie": gpt4o,
  "minimax-m2": gpt4o,
  "granite-embed-multi-97m": { ...gpt4o, ignoreMerges: true },
  "tiny_aya": tinyAya,
  "cohere2moe": tinyAya,
  "kimi-k2": cut(
    `[\\p{Han}]+|${
      casedWords(`${CONTRACTIONS}?`, "&&[^\\p{Han}]")
    }|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES}|${SPACES}`,
  ),
  "youtu": {
    ...cut(
      `${characters("ac00-d7a3 3131-318e")}+|${
        characters("ff01 2026 201c-201d 2018-2019 2014 ff1a-ff1b ff0c 3001-303f fe30-fe4f")
      }+|${characters("3105-312f")}+|${CJK}+`,
      `${casedWords(`${CONTRACTIONS}?`)}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES}|${SPACES}`,
    ),
    ignoreMerges: true,
  },
  "deepseek-llm": cut(
    "[\\r\\n]",
    `\\s?${CASED}+`,
    `\\s?${characters("21-2f 3a-7e ff01-ff0f ff1a-ff5e 2018-201f 3000-3002")}+`,
    "\\s+$",
    HAN_AND_HANGUL,
    "\\p{N}+",
  ),
  "deepseek-coder": cut("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", HAN_AND_HANGUL, "\\p{N}"),
  "deepseek-v3": deepseek3,
  "hunyuan-dense": deepseek3,
  "joyai-llm": deepseek3,
  "hy_v4": deepseek3,
  "spark2_5": cut("\\p{N}{1,3}", `${CJK}+`, `${SIGNS}|[\\r\\n]|${SPACES}`, "\\p{N}"),
  "afmoe": cut(
    `\\p{N}{1,3}${THREES}`,
    `${
      characters(
        "4e00-9fff 3400-4dbf f900-faff 3040-309f 30a0-30ff ff65-ff9f 2f00-2fdf e40-e7f e80-eff " +
          "1780-17ff 1000-109f aa60-aa7f a9e0-a9ff ac00-d7af 1100-11ff",
      )
    }+`,
    `${SIGNS}[\\r\\n]*|${LINES}|${SPACES}`,
  ),
  "superbpe": cut("\\p{N}+", "(?=(\\d{3})+(?!\\d))"),
  "falcon": cut("[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2_WORDS, "[0-9][0-9][0-9]"),
  "bloom": bloom,
  "poro-chat": bloom,
  "gpt3-finnish": bloom,
  "viking": sequence(...[
    (bloom.preTokenizer as { readonly pretokenizers: readonly unknown[] }).pretokenizers[0],
    split("\\p{N}"),
    NO_MORE,
  ]),
  "chameleon": {
    ...cut(
      "<sentinel:[0-9]+>",
      "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
      "([\\t\\n]|    |  )",
      "\\p{N}",
      "[\\p{P}!-/:-@\\[-`{-~]",
      GPT2_WORDS,
    ),
    bos: true,
  },
  "default": cut("[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_WORDS, "\\p{N}+", "[0-9][0-9][0-9]"),
};

/** Names of llama.cpp's that do more than cut bytes, and what it is. */
export const OTHER_PRE_TOKENIZERS: Readonly<Record<string, string>> = {
  "gemma4": "which marks spaces and merges characters",
  "granite-embed-multi-311m": "which marks spaces and merges characters",
  "sarvam-moe": "which marks spaces and merges characters",
  "whitespace": "which merges characters",
  "jina-v1-en": "which ends texts with a separator",
  "jina-v2-code": "which ends texts with a separator",
  "roberta-bpe": "which ends texts with a separator",
};
