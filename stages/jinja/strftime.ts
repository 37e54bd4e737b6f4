import { TemplateError } from "./template_error.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** A moment as `strftime` writes it, in English and local time. */
export function strftime(format: string, date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const fields: Readonly<Record<string, () => string>> = {
    a: () => DAYS[date.getDay()]!.slice(0, 3),
    A: () => DAYS[date.getDay()]!,
    b: () => MONTHS[date.getMonth()]!.slice(0, 3),
    B: () => MONTHS[date.getMonth()]!,
    c: () => strftime("%a %b %e %H:%M:%S %Y", date),
    d: () => two(date.getDate()),
    D: () => strftime("%m/%d/%y", date),
    e: () => String(date.getDate()).padStart(2),
    f: () => `${String(date.getMilliseconds()).padStart(3, "0")}000`,
    F: () => strftime("%Y-%m-%d", date),
    h: () => MONTHS[date.getMonth()]!.slice(0, 3),
    H: () => two(date.getHours()),
    I: () => two(date.getHours() % 12 || 12),
    j: () => String(dayOfYear(date)).padStart(3, "0"),
    m: () => two(date.getMonth() + 1),
    M: () => two(date.getMinutes()),
    n: () => "\n",
    p: () => date.getHours() < 12 ? "AM" : "PM",
    R: () => strftime("%H:%M", date),
    s: () => String(Math.floor(date.getTime() / 1000)),
    S: () => two(date.getSeconds()),
    t: () => "\t",
    T: () => strftime("%H:%M:%S", date),
    u: () => String(date.getDay() || 7),
    w: () => String(date.getDay()),
    x: () => strftime("%m/%d/%y", date),
    X: () => strftime("%H:%M:%S", date),
    y: () => two(date.getFullYear() % 100),
    Y: () => String(date.getFullYear()),
    // A moment of Python's without a time zone has nothing here.
    z: () => "",
    Z: () => "",
    "%": () => "%",
  };
  return format.replaceAll(/%(-?)(.?)/gs, (whole, bare: string, field: string) => {
    const write = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (!write) throw new TemplateError(`strftime_now knows no ${whole}`);
    return bare ? write().replace(/^[0 ]+(?=.)/, "") : write();
  });
}

function dayOfYear(date: Date): number {
  const start = Date.UTC(date.getFullYear(), 0, 0);
  return (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / 86_400_000;
}
