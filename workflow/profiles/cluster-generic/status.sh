#!/bin/sh
# What became of a job of PBS, Grid Engine or LSF: `status.sh ID` prints running, success or failed.
# A job that the scheduler can't be asked about now counts as running.
id=$1

verdict() { # OK: whether an exit code is that of a job that went well
  if [ "$1" = 0 ]; then echo success; else echo failed; fi
}

if command -v bjobs > /dev/null; then # LSF
  # bsub says: Job <7> is submitted to queue <normal>.
  id=${id#*<}
  id=${id%%>*}
  answer=$(bjobs -noheader -o stat "$id" 2>&1)
  case $answer in
    DONE) echo success ;;
    EXIT | ZOMBI | *"is not found"*) echo failed ;;
    *) echo running ;;
  esac
elif [ -n "${SGE_ROOT:-}" ]; then # Grid Engine
  # it forgets a job that has ended some seconds before its accounting knows it
  if qstat -j "$id" > /dev/null 2>&1 || ! answer=$(qacct -j "$id" 2> /dev/null); then
    echo running
  else
    verdict "$(echo "$answer" | awk '$1 == "failed" || $1 == "exit_status" {sum += $2 != 0} END {print sum + 0}')"
  fi
else # PBS: Torque still lists jobs that have ended, PBS Pro does with -x
  answer=$(qstat -f "$id" 2>&1) || answer=$(qstat -x -f "$id" 2>&1)
  case $answer in
    *"job_state = F"* | *"job_state = C"*)
      verdict "$(echo "$answer" | awk 'tolower($1) == "exit_status" {print $3}')" ;;
    *nknown*ob*) echo failed ;;
    *) echo running ;;
  esac
fi
