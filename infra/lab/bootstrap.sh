#!/bin/sh
# Stands in for the bootstrap of Lambda's managed runtimes (managed_runtimes.py): it prepares /opt and /tmp, and becomes the runtime.
# If AWS_LAMBDA_EXEC_WRAPPER names a program, it becomes that, with the runtime's command line as arguments:
# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
#
# Next to this file: `task`, the function's code, and `opt`, its layers. The lab's settings are in LAB_ variables, which the runtime
# does not get: LAB_UNSHARE (options of unshare; empty without a namespace), LAB_ROOT (the checkout), LAB_TMP_MB (the size of /tmp)
# and LAB_RUNTIME (the runtime's command line, one word per line).
set -eu
here=${0%/*}

# The mounts are visible only in this process and its children, and vanish with them.
if [ -n "${LAB_UNSHARE:-}" ] && [ -z "${LAB_ISOLATED:-}" ]; then
  export LAB_ISOLATED=yes
  # shellcheck disable=SC2086 # These are several options.
  exec unshare $LAB_UNSHARE --propagation private -- "$0"
fi
if [ -n "${LAB_ISOLATED:-}" ]; then
  # /tmp is prepared at /opt, because a checkout in /tmp must still be there in the new one.
  mount -t tmpfs -o "size=${LAB_TMP_MB}m,mode=1777" tmpfs /opt
  case $LAB_ROOT in
    /tmp/*)
      mkdir -p "/opt${LAB_ROOT#/tmp}"
      mount --bind "$LAB_ROOT" "/opt${LAB_ROOT#/tmp}"
      ;;
  esac
  mount --rbind /opt /tmp
  mount --bind "$here/opt" /opt
fi

cd "$LAMBDA_TASK_ROOT"
# One word per line, and no word is a pattern.
IFS='
'
set -f
# shellcheck disable=SC2086
set -- $LAB_RUNTIME
unset IFS LAB_UNSHARE LAB_ISOLATED LAB_ROOT LAB_TMP_MB LAB_RUNTIME
wrapper=${AWS_LAMBDA_EXEC_WRAPPER:-}
if [ -z "$wrapper" ]; then
  exec "$@"
fi
# The statuses of a shell that finds no program, or no executable one. Inferred: Lambda reports both as a failed start.
if [ ! -f "$wrapper" ]; then
  echo "$wrapper: does not exist" >&2
  exit 127
fi
if [ ! -x "$wrapper" ]; then
  echo "$wrapper: is not an executable" >&2
  exit 126
fi
exec "$wrapper" "$@"
