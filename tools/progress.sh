#!/usr/bin/env bash
# Watch a run of synexs_async on a machine that has bash and awk, and little else.
set -u

usage() {
    cat <<'END'
usage: progress.sh [DIR] [--once] [--interval S]

Show how the run in the folder DIR (default: ./training_logs) is doing, until it ends.
Wait for it where it has not started yet. Say STALLED where it should be running, but
has not reported for more than 10 s or its process is gone. Where the output is not a
terminal, print one plain line per change. NO_COLOR turns colours off.

  --once        show it once and exit
  --interval S  look again every S seconds, such as 5 or 0.5 (default: 1)
  -h, --help    show this help and exit
  --            what follows is the folder, even if it begins with a dash

exit codes:
  0  the run is completed      3  it is running         (only with --once)
  4  it was interrupted        6  it is stalled         (only with --once)
  5  it failed                 7  there is no run yet   (only with --once)
  2  wrong usage               130, 143, 129  ended by Ctrl-C, SIGTERM, SIGHUP
END
}

main() {
    read_arguments "$@"
    set_stage
    while look; show; goes_on; do pause; done
    return "$code"
}

read_arguments() {
    dir='' once='' interval=1
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage && exit ;;
            --once) once=yes ;;
            --interval=*) interval=${1#*=} ;;
            --interval)
                [ $# -gt 1 ] || misused "--interval needs a number of seconds, such as 0.5"
                interval=$2 && shift
                ;;
            --) shift && break ;;
            -*) misused "unknown option '$1'" ;;
            *) choose_folder "$1" ;;
        esac
        shift
    done
    [ $# -eq 0 ] || choose_folder "$@"
    dir=${dir:-./training_logs}
    file=$dir/progress.json

    [[ $interval =~ ^[0-9]*[.]?[0-9]*$ && $interval =~ [1-9] ]] ||
        misused "--interval takes a positive number of seconds, such as 0.5, not '$interval'"
    [ ! -e "$dir" ] || [ -d "$dir" ] ||
        misused "'$dir' is a file: give the folder of a run"
}

choose_folder() {
    [[ -z $dir && $# -eq 1 ]] || misused "two folders, '${dir:-$1}' and '${!#}': give one"
    [ -n "$1" ] || misused "the name of the folder is empty: give one, or leave it out"
    dir=$1
}

misused() {
    printf 'progress.sh: %s (see progress.sh --help)\n' "$1" >&2
    exit 2
}

set_stage() {
    local block='█'
    full='#' empty='-'
    [ ${#block} -ne 1 ] || full='█' empty='░' # it is one character where the locale is UTF-8

    terminal='' live='' erase='' columns=9999 room=9999 rows=9999 shown='' drawn=''
    sleeper='' hurry=''
    bold='' red='' green='' yellow='' cyan='' plain=''
    absence='waiting for the run'
    [ -z "$once" ] || absence='no run yet'
    if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
        terminal=yes
        [ -n "$once" ] || live=yes erase=$'\e[K'
        [ -n "${NO_COLOR:-}" ] || bold=$'\e[1m' red=$'\e[1;31m' green=$'\e[32m' \
            yellow=$'\e[33m' cyan=$'\e[36m' plain=$'\e[0m'
    fi

    trap leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    trap redraw WINCH
}

leave() {
    [ -z "$live" ] || show_cursor
    [ -z "$sleeper" ] || kill "$sleeper"
} 2>/dev/null

show_cursor() { printf '\e[?7h\e[?25h'; }

# Learn the state of the run and what there is to say about it.
look() {
    read_report
    if [ "$state" = running ] && stalled; then
        # It may have written its last report and ended between our two glances.
        [ "$report" = "$(slurp)" ] || { look && return; }
        state=STALLED
    fi
    [ "$state" = running ] || eta=-
    case $state in
        completed) code=0 colour=$green ;;
        running) code=3 colour=$cyan ;;
        interrupted) code=4 colour=$yellow ;;
        failed) code=5 colour=$red ;;
        STALLED) code=6 colour=$red ;;
        absent) code=7 colour=$yellow ;;
    esac
}

read_report() {
    local now written
    why='' advice=''
    report=$(slurp)
    now=$(date +%s)
    written=$(date -r "$file" +%s 2>/dev/null) || written=$now
    age=$((now > written ? now - written : 0))
    if ! IFS='|' read -r state pid host permille finished total success failure aborted error rate \
        elapsed eta checkpoint silence < <(printf '%s' "$report" | in_c_locale fields "$age"); then
        state=absent why='its progress.json cannot be read yet'
        [ -e "$file" ] || why='there is no progress.json in the folder'
        [ -e "$dir" ] || why='there is no such folder'
    fi
}

slurp() { [ -f "$file" ] && head -c 65536 <"$file" | tr -d '\0'; } 2>/dev/null

stalled() {
    [ -z "$host" ] || [ "$host" = "$(uname -n)" ] || pid=''
    if [ -n "$pid" ] && gone "$pid"; then
        why="process $pid is gone, no report for"
        advice='to go on, start the same command again: it resumes'
    elif [ "$age" -gt 10 ]; then
        why="${pid:+process $pid is there, but }no report for"
        advice="to go on, ${pid:+stop process $pid and }start the same command again: it resumes"
    else
        return 1
    fi
}

# A process of another user refuses the signal, but it is there.
gone() { [[ $(in_c_locale kill -0 "$1" 2>&1) == *'No such process'* ]]; }

# In a shell of its own, as bash complains when it goes back to a locale that is not installed.
in_c_locale() (
    export LC_ALL=C
    "$@"
)

# From JSON in any layout to one line of texts fit to be shown; no line where it is broken.
fields() { # seconds since the report
    awk -v age="$1" '
    { text = text $0 "\n" }
    END {
        while (match(text, /^[ \t\r\n,]*("([^"\\]|\\.)*"[ \t\r\n]*:?|[][{}]|[-+.0-9A-Za-z]+)/)) {
            token = substr(text, 1, RLENGTH)
            text = substr(text, RLENGTH + 1)
            gsub(/^[ \t\r\n,]+|[ \t\r\n]+$/, "", token)
            if (token ~ /:$/) {
                sub(/"[ \t\r\n]*:$/, "", token)
                key = substr(token, 2)
            } else if (token ~ /^[{[]/) {
                path[depth + 1] = depth ? path[depth] key "." : ""
                depth++
            } else if (token ~ /^[]}]/) depth--
            else field[path[depth] key] = token
        }
        if (depth || text !~ /^[ \t\r\n]*$/) exit

        status = string("status"); current = number("mission_current")
        total = number("mission_total"); rate = number("rate_missions_per_sec")
        if (status !~ /^(running|completed|interrupted|failed)$/) exit
        if (current == "" || total == "") exit
        permille = total ? 1000 * current / total : 1000 * (status == "completed")
        pid = field["pid"] ~ /^[1-9][0-9]*$/ ? field["pid"] : ""

        printf "%s|%s|%s", status, pid, string("host")
        printf "|%d|%s|%s", permille, commas(current), commas(total)
        split("success failure abort error", outcomes, " ")
        for (i = 1; i <= 4; i++) finished += count[i] = number("stats." outcomes[i] "_count") + 0
        for (i = 1; i <= 4; i++)
            printf "|%" length(commas(total)) "s %5.1f%%", \
                commas(count[i]), finished ? 100 * count[i] / finished : 0
        if (rate != "" && rate < 1000) rate = sprintf(rate < 1 ? "%.2g" : "%.1f", rate)
        else rate = commas(rate)
        printf "|%s/s|%s", rate, duration(number("elapsed_seconds"))
        printf "|%s|%s", duration(number("eta_seconds")), commas(number("checkpoint_missions"))
        printf "|%s\n", duration(age)
    }

    function string(name) {
        return field[name] ~ /^"[^|]*"$/ ? substr(field[name], 2, length(field[name]) - 2) : ""
    }
    function number(name) { return field[name] ~ /^-?[0-9]/ ? field[name] + 0 : "" }
    function commas(n,  tail) {
        if (n == "") return "-"
        for (n = sprintf("%.0f", n); length(n) > 3; n = substr(n, 1, length(n) - 3))
            tail = "," substr(n, length(n) - 2) tail
        return n tail
    }
    function duration(s) {
        if (s == "") return "-"
        s = int(s + 0.5)
        if (s < 60) return s "s"
        if (s < 3600) return sprintf("%dm %02ds", s / 60, s % 60)
        return sprintf("%dh %02dm %02ds", s / 3600, s / 60 % 60, s % 60)
    }'
}

show() {
    local latest="$state|$why|$finished|$checkpoint|$elapsed"
    if [ -n "$terminal$once" ]; then
        compose && draw
    elif [ "$shown" != "$latest" ]; then
        compose && shown=$latest
        printf '%s' "$frame" | awk '{ $1 = $1; text = text "; " $0 } END { print substr(text, 3) }'
    fi || exit 1
}

compose() {
    frame='' widths='' height=0
    [ -z "$terminal" ] || measure
    [ -z "$terminal$once" ] || header
    if [ "$state" = absent ]; then
        paragraph "$colour" "$absence: $why"
        return
    fi
    [ -z "$terminal$once" ] || bar
    row status "$colour" "$state"
    if [ "$state" = STALLED ]; then
        paragraph "$colour" "$why $silence"
        paragraph '' "$advice"
    fi
    row 'done' '' "$((permille / 10)).$((permille % 10))%"
    row missions '' "$finished/$total"
    row '  success' "$green" "$success"
    row '  failure' "$yellow" "$failure"
    row '  aborted' "$cyan" "$aborted"
    row '  error' "$red" "$error"
    row rate '' "$rate"
    row elapsed '' "$elapsed"
    row ETA '' "$eta"
    row checkpoint '' "$checkpoint"
}

measure() {
    { read -r rows columns < <(stty size <&3); } 3>&1 2>/dev/null
    [[ ${rows:-0} -gt 0 && ${columns:-0} -gt 0 ]] || rows=24 columns=80
    room=$((columns - 1)) # clearing to the end of a full line would take its last letter
}

header() {
    local name=${dir//[[:cntrl:]]/?}
    [ ${#name} -le "$room" ] || [ "$room" -lt 4 ] || name=...${name:${#name}-room+3}
    line '' "$bold" "$name"
}

bar() {
    local filled blank width=$((room < 60 ? room : 60))
    printf -v filled '%*s' $((width * (permille < 1000 ? permille : 1000) / 1000)) ''
    printf -v blank '%*s' $((width - ${#filled})) ''
    line '' "$colour" "${filled// /$full}${blank// /$empty}"
}

row() { # name, colour, text
    local name
    printf -v name '%-*s ' $((room < 28 ? 0 : 10)) "$1"
    line "$name" "$2" "$3"
}

paragraph() { # colour, text
    while read -r; do line '' "$1" "$REPLY"; done < <(printf '%s\n' "$2" | fold -s -w "$room")
}

line() { # plain text, colour, coloured text: one line of the frame, cut to the terminal
    local head=${1:0:room} body
    [ -z "$live" ] || [ "$height" -lt $((rows - 1)) ] || return 0
    body=${3:0:room-${#head}}
    frame+=$head$2$body$plain$erase$'\n'
    widths+=" $((${#head} + ${#body}))"
    height=$((height + 1))
}

draw() {
    local width up=0
    if [ -n "$live" ]; then
        # A terminal that became narrower has folded the lines of the frame before.
        for width in $drawn; do
            up=$((up + (width > columns ? (width + columns - 1) / columns : 1)))
        done
        [ "$up" -eq 0 ] || frame=$'\e['${up}A$frame
        frame=$'\r\e[?25l\e[?7l'$frame$'\e[J\e[?7h' # no cursor, and no wrapping of wide letters
        drawn=$widths
    fi
    printf '%s' "$frame" | dd obs=65536 2>/dev/null # one write, where bash makes one per line
}

goes_on() { [ -z "$once" ] && case $state in completed | interrupted | failed) false ;; esac; }

# A trap cuts `wait` short, but lets a command in the foreground end first. Ctrl-Z stops that
# one as well, which would then never end: hence it is trapped only here.
pause() {
    [ -z "$live" ] || trap 'show_cursor; kill -STOP $$; drawn=; redraw' TSTP
    sleep "$interval" >/dev/null &
    sleeper=$!
    [ -z "$hurry" ] || kill "$sleeper"
    wait "$sleeper" || wait "$sleeper"
    sleeper='' hurry=''
    trap - TSTP
} 2>/dev/null

redraw() {
    hurry=yes
    [ -z "$sleeper" ] || kill "$sleeper"
} 2>/dev/null

main "$@"
