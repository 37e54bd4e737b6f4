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
/** Bytes of all of them. */
export const CONTROL_BYTES = 384;

/** Bytes of a slot of the ring, which holds a command. */
export const SLOT_BYTES = 256;
/** Which function of the threads' table. */
export const SLOT_PROGRAM = 0;
/** How many tasks it has. */
export const SLOT_TASKS = 4;
/** Tasks that a thread has taken. */
export const SLOT_TAKEN = 8;
/** Threads that found none left. */
export const SLOT_ARRIVED = 12;
/** Where addresses and params begin. */
export const SLOT_ARGS = 16;
/** Stands for no function: threads return, to hear of functions that are new to them. */
export const LEAVE = 0;
/** Slots of the ring, a power of two. */
export const SLOTS = 2048;

/** Bytes that a thread has for itself while it works at a task. */
export const SCRATCH_BYTES = 4194304;
/** Bytes that a task copies. */
export const COPY_BYTES = 65536;
/** Bytes behind every block that may be read, for loads of whole vectors. */
export const SLACK_BYTES = 64;
