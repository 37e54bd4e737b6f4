/** Where systems put SwiftShader, Chromium's Vulkan driver for processors. */
const PLACES = [
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
  "/opt/google/chrome/vk_swiftshader_icd.json",
];

/** The file that describes SwiftShader to a Vulkan loader, if this machine has one. */
export async function findSwiftShader(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  for (const place of PLACES) {
    if (await Deno.stat(place).then(() => true, () => false)) return place;
  }
  return undefined;
}

/** The environment of a process that has SwiftShader and no other driver. */
export function swiftShaderEnvironment(place: string): Record<string, string> {
  return { VK_DRIVER_FILES: place, QUATTUOR_SECOND_DRIVER: "SwiftShader" };
}
