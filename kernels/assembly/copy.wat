;; Copies from one memory of the CPU engine to another, or within one.
(module
  (import "env" "from" (memory $from 1 65536 shared))
  (import "env" "to" (memory $to 1 65536 shared))

  ;; Its arguments lie in `to`: addresses in both memories, bytes in all, and bytes of a task.
  (func (export "copy") (param $at i32) (param $task i32) (param $scratch i32)
    (local $step i32)
    (local $first i32)
    (local $left i32)
    (local.set $step (i32.load $to offset=12 (local.get $at)))
    (local.set $first (i32.mul (local.get $task) (local.get $step)))
    (local.set $left (i32.sub (i32.load $to offset=8 (local.get $at)) (local.get $first)))
    (memory.copy $to $from
      (i32.add (i32.load $to offset=4 (local.get $at)) (local.get $first))
      (i32.add (i32.load $to (local.get $at)) (local.get $first))
      (select (local.get $step) (local.get $left)
        (i32.lt_u (local.get $step) (local.get $left))))))
