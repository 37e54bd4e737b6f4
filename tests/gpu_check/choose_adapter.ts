import { nameOf } from "../../kernels/device/adapter.ts";

/**
 * Of the adapters of a machine, the best first, the one that is to be checked: the first that is no
 * software driver, or the one whose name contains `named`. Throws with the way out where there is none.
 */
export function chooseAdapter(adapters: readonly GPUAdapter[], named: string): GPUAdapter {
  if (adapters.length === 0) {
    throw new Error(
      "Cannot check a graphics processor: this system shows none, expected the driver of one; install it (on Linux the card's Vulkan driver, after which vulkaninfo --summary lists it; in a container, hand the card in), and run the command again",
    );
  }
  const names = [...new Set(adapters.map(({ info }) => nameOf(info)))].join(", ");
  if (named !== "") {
    const found = adapters.find(({ info }) =>
      nameOf(info).toLowerCase().includes(named.toLowerCase())
    );
    if (found) return found;
    throw new Error(
      `Cannot check ${named}: it is no adapter of this system, expected part of ${names}`,
    );
  }
  const card = adapters.find(({ info }) => !info.isFallbackAdapter);
  if (card) return card;
  throw new Error(
    `Cannot check a graphics processor: there is only ${names}, which is made of software, expected the driver of a card (on Linux its Vulkan driver); to check shaders alone, name it: deno task gpu-check --device ${
      nameOf(adapters[0]!.info).split(" ")[0]
    }`,
  );
}
