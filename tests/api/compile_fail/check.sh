#!/bin/sh
# check.sh MESSAGE COMPILER ARGS…: the compiler must refuse and say MESSAGE; an empty MESSAGE: it must accept.
message=$1
shift
said=$(LC_ALL=C "$@" 2>&1)
status=$?
if [ -z "$message" ]; then
  [ $status -eq 0 ] && exit 0
  printf 'must compile, but:\n%s\n' "$said"
  exit 1
fi
if [ $status -eq 0 ]; then
  echo "must not compile, but did"
  exit 1
fi
case $said in
  *"$message"*) exit 0 ;;
esac
printf 'must be refused with "%s", but the compiler said:\n%s\n' "$message" "$said" | head -60
exit 1
