/** Whether a value of JSON is an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two values are the same as JSON, with properties in the same order. */
export function sameJson(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** Whether something is a list that has a value. */
export function listHas(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.some((one) => sameJson(one, value));
}
