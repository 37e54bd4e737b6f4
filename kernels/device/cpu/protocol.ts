/**
 * Where host and threads of the CPU engine meet in their shared memory; AssemblyScript reads this
 * file too. Offsets are bytes; each counter has a cache line of its own.
 *
 * @module
 */

/** Commands that were handed over; runs around at 2^32, as all counts of commands. */
export const PUBLISHED = 0;
/** Commands that are done. */
export const COMPLETED = 64;
/** Threads that sleep on one of both. */
export const SLEEPERS = 128;
/** At how many commands done the host wants to be woken. */
export const WANTED = 192;
/** Changes whenever that many are done, or the work ended. */
export const REACHED = 256;
/** Not 0 as soon as threads shall end. */
export const STOP = 320;
/** How often functions were sent to threads that they did not begin with. */
export const SENT = 384;
/** Bytes of all of them. */
export const CONTROL_BYTES = 448;

/** Bytes of a slot of the ring, which holds a command. */
export const SLOT_BYTES = 256;
/** Which function of the threads' table. */
export const SLOT_PROGRAM = 0;
/** How many tasks it has. */
export const SLOT_TASKS = 4;
/** Tasks that no thread has taken; with the number of the command, 64 bits that change as one. */
export const SLOT_LEFT = 8;
/** How many commands were handed over before this one. */
export const SLOT_TURN = 12;
/** Tasks that are done. */
export const SLOT_DONE = 16;
/** Where addresses and params begin. */
export const SLOT_ARGS = 24;
/** Where the functions of the threads' table begin; a module expects an entry before it has any. */
export const FIRST_FUNCTION = 1;
/** Slots of the ring, a power of two. */
export const SLOTS = 2048;

/** Bytes that a thread has for itself while it works at a task. */
export const SCRATCH_BYTES = 4194304;
/** Bytes before them, for what a task leaves to those behind it: see `packRows` of `matmulInt8`. */
export const KEPT_BYTES = 64;
/** Bytes that a task copies. */
export const COPY_BYTES = 65536;
/** Bytes behind every block that may be read, for loads of whole vectors. */
export const SLACK_BYTES = 64;
