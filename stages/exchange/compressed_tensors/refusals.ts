import { weightWords } from "../../quant/schemes.ts";
import type { Refusal } from "../format.ts";
import { refusedKv, refusedTransforms } from "../precision_refusals.ts";
import type { StoredLinear } from "../../models/linear.ts";
import type { Subject } from "../subject.ts";

/** Why compressed-tensors, as vLLM reads it, cannot hold a model. */
export function* refusedCompressedTensors(subject: Subject): Generator<Refusal> {
  const { linears } = subject;
  const first = (test: (linear: StoredLinear) => boolean | undefined) => {
    const [found, ...more] = linears.filter(test);
    return found && `${found.name}${more.length > 0 ? ` and ${more.length} other linears` : ""}`;
  };
  if (!linears.some(({ scheme }) => scheme)) {
    yield { what: "model", text: "none of its linears is quantized, expected some" };
  }
  const shifted = linears.find(({ scheme }) => scheme?.weights.zero === "post_scale");
  if (shifted) {
    yield {
      what: "model",
      text: `${
        first(({ scheme }) => scheme?.weights.zero === "post_scale")
      } have zeros behind the scale (${
        weightWords(shifted.scheme!.weights)
      }), expected integers among the codes; quantize with zero pre_scale or none`,
    };
  }
  const fixed = first(({ scheme }) =>
    scheme && typeof scheme.inputs?.range === "number" && scheme.weights.bits < 8
  );
  if (fixed) {
    yield {
      what: "activations",
      text:
        `${fixed} take inputs of a static range beside less than 8 bits, expected a scale a token: vLLM has nothing else there`,
    };
  }
  const unsigned = first(({ scheme }) =>
    scheme?.inputs && scheme.weights.bits === 8 && scheme.weights.zero !== "none"
  );
  if (unsigned) {
    yield {
      what: "activations",
      text: `${unsigned} have 8-bit weights with zeros beside 8-bit inputs, expected zero none`,
    };
  }
  yield* refusedKv(subject, "integer weights in vLLM");
  yield* refusedTransforms(subject);
}
