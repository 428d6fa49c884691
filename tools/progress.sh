#!/usr/bin/env bash
# Watch a run of synexs_async on a machine that has bash and awk, and little else.
set -u

usage() {
    cat <<'END'
usage: progress.sh [DIR] [--once] [--interval S]

Show how the run in the folder DIR (default: ./training_logs) is doing, until it ends.
Waits for a run that has not started yet. Says STALLED when a running run has not
reported for more than 10 s, or its process is gone. Prints one plain line per change
where the output is not a terminal. NO_COLOR turns colours off.

  --once        show it once and exit
  --interval S  look again every S seconds, such as 2 or 0.5 (default: 1)
  -h, --help    show this help and exit
  --            what follows is a folder, even if it begins with a dash

exit codes:
  0  the run is completed         5  the run failed
  2  wrong usage                  6  the run is stalled (--once)
  3  the run is going on (--once) 7  there is no run yet (--once)
  4  the run was interrupted
  130, 143, 129  ended by Ctrl-C, by a termination signal, by a lost terminal
END
}

main() {
    read_arguments "$@"
    set_stage
    look
    show
    until over; do
        pause
        look
        show
    done
    exit "$(exit_code)"
}

read_arguments() {
    dir='' once='' interval=1
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage && exit ;;
            --once) once=yes ;;
            --interval)
                [ $# -gt 1 ] || misused "--interval needs a number of seconds, such as 0.5"
                interval=$2
                shift
                ;;
            --interval=*) interval=${1#*=} ;;
            --) shift && break ;;
            -*) misused "unknown option '$1'" ;;
            *) choose_folder "$1" ;;
        esac
        shift
    done
    while [ $# -gt 0 ]; do
        choose_folder "$1"
        shift
    done
    dir=${dir:-./training_logs}
    file=$dir/progress.json
    case $file in -*) file=./$file ;; esac

    [[ $interval =~ ^[0-9]*[.]?[0-9]*$ && $interval =~ [1-9] ]] ||
        misused "--interval takes a positive number of seconds, such as 0.5, not '$interval'"
    [ ! -e "${file%/*}" ] || [ -d "${file%/*}" ] ||
        misused "'$dir' is a file: give the folder of the run"
}

choose_folder() {
    [ -n "$1" ] || misused "the folder's name is empty: leave it out, or give one"
    [ -z "$dir" ] || misused "two folders, '$dir' and '$1': give one"
    dir=$1
}

misused() {
    printf 'progress.sh: %s (see progress.sh --help)\n' "$1" >&2
    exit 2
}

set_stage() {
    local block='█'
    full='#' empty='-'
    [ ${#block} -ne 1 ] || full='█' empty='░' # one character only where the locale is UTF-8

    terminal='' live='' erase='' sleeper='' seen='' lengths='' columns=9999 rows=9999
    bold='' red='' green='' yellow='' cyan='' reset=''
    if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
        terminal=yes
        if [ -z "${NO_COLOR:-}" ]; then
            bold=$'\e[1m' red=$'\e[1;31m' green=$'\e[32m' yellow=$'\e[33m' cyan=$'\e[36m'
            reset=$'\e[0m'
        fi
        [ -n "$once" ] || live=yes erase=$'\e[K'
    fi

    trap leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    if [ -n "$live" ]; then
        trap : WINCH # cuts the pause short
        trap 'show_cursor; kill -STOP $$; lengths=' TSTP
    fi
}

leave() {
    [ -z "$live" ] || show_cursor
    [ -z "$sleeper" ] || kill "$sleeper"
} 2>/dev/null

show_cursor() { printf '\e[?7h\e[?25h'; }

# What there is to know: the state of the run, why it is so, and the fields of its report.
look() {
    local content pid host
    content=$(slurp)
    why='' advice=''
    if ! IFS='|' read -r state pid host permille percent finished total success success_share \
        failure failure_share aborted aborted_share error error_share rate elapsed eta \
        checkpoint < <(printf '%s' "$content" | fields); then
        state=absent why='its progress.json is not whole yet'
        [ -e "$file" ] || why='there is no progress.json in the folder yet'
        [ -e "${file%/*}" ] || why='there is no such folder yet'
        return
    fi
    [ "$state" = running ] || return 0

    [ -z "$host" ] || [ "$host" = "$(uname -n)" ] || pid=''
    age=$(($(date +%s) - $(date -r "$file" +%s || date +%s))) 2>/dev/null
    if [ -n "$pid" ] && gone "$pid"; then
        why="process $pid is gone, last report"
        advice='To go on, start the same command again: it resumes.'
    elif [ "$age" -gt 10 ]; then
        why='no report, the last'
        advice="To go on, ${pid:+stop process $pid and }start the same command again: it resumes."
    else
        return 0
    fi
    # A process may write its last report and end between our two glances.
    if [ "$content" = "$(slurp)" ]; then state=stalled; else look; fi
}

slurp() { [ -f "$file" ] && head -c 65536 <"$file" | tr -d '\0'; } 2>/dev/null

# A process of another user can't be signalled, but it is there.
gone() { [[ $(LC_ALL=C; kill -0 "$1" 2>&1) == *'No such process'* ]]; }

# From JSON in any layout to one line of words fit to be shown, or none where it is not whole.
fields() {
    LC_ALL=C awk '
    { text = text $0 "\n" }
    END {
        status = ""
        if (value("") && text ~ /^[ \t\r\n]*$/) status = word("status")
        current = number("mission_current"); total = number("mission_total")
        if (status !~ /^(running|completed|interrupted|failed)$/ || current total == "") exit
        if (total > 0) permille = int(1000 * current / total)
        else permille = status == "completed" ? 1000 : 0

        split("success failure abort error", outcomes, " ")
        for (i = 1; i <= 4; i++) finished += number("stats." outcomes[i] "_count")
        printf "%s|%s|%s", status, whole("pid"), word("host")
        printf "|%d|%.1f%%|%s|%s", permille, permille / 10, commas(current), commas(total)
        for (i = 1; i <= 4; i++) {
            count = number("stats." outcomes[i] "_count")
            printf "|%s|%.1f%%", commas(count), finished ? 100 * count / finished : 0
        }
        rate = number("rate_missions_per_sec")
        if (rate >= 1000) rate = commas(rate)
        else if (rate != "") rate = sprintf(rate < 1 ? "%.2g" : "%.1f", rate)
        printf "|%s|%s|%s", rate, whole("elapsed_seconds"), whole("eta_seconds")
        printf "|%s\n", commas(number("checkpoint_missions"))
    }

    function value(name,  key, i) {
        if (token("[{]")) {
            if (token("[}]")) return 1
            do {
                if (!token(string)) return 0
                key = substr(got, 2, length(got) - 2)
                if (!token(":") || !value(name == "" ? key : name "." key)) return 0
            } while (token(","))
            return token("[}]")
        }
        if (token("[[]")) {
            if (token("[]]")) return 1
            do if (!value(name "." i++)) return 0
            while (token(","))
            return token("[]]")
        }
        if (!token(string) && !token("-?[0-9][0-9.]*([eE][-+]?[0-9]+)?") && !token("-?[A-Za-z]+"))
            return 0
        field[name] = got
        return 1
    }
    function token(pattern) {
        sub(/^[ \t\r\n]+/, "", text)
        if (!match(text, "^(" pattern ")")) return 0
        got = substr(text, 1, RLENGTH)
        text = substr(text, RLENGTH + 1)
        return 1
    }
    BEGIN { string = "\"([^\"\\\\]|\\\\.)*\"" }

    function word(name,  text) {
        text = field[name]
        if (text !~ /^"/) return ""
        gsub(/^"|"$|[|]/, "", text)
        return text
    }
    function number(name) { return field[name] ~ /^-?[0-9]/ ? field[name] + 0 : "" }
    function whole(name) { return number(name) == "" ? "" : sprintf("%.0f", number(name)) }
    function commas(n,  text) {
        if (n == "") return ""
        n = sprintf("%d", n)
        for (text = ""; length(n) > 3; n = substr(n, 1, length(n) - 3))
            text = "," substr(n, length(n) - 2) text
        return n text
    }'
}

show() {
    if [ -n "$terminal$once" ]; then
        compose
        draw
    elif [ "$seen" != "$state $why $finished $checkpoint $elapsed" ]; then
        seen="$state $why $finished $checkpoint $elapsed"
        announce
    fi
}
