/** Names of kernels that multiply integers, to hold against what a device does of those a second. */
export const INTEGER_PRODUCTS: ReadonlySet<string> = new Set(["matmulInt8", "matmulGroups"]);
