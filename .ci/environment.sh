# Finding a Python that has a TensorFlow, and making virtual environments. Sourced by run.sh and tests/run.sh.

# find_python VERSION...: prints the first of these Pythons (3.11, 3.7, ...) that runs on this machine.
find_python() {
    local version candidate pyenv_root
    pyenv_root=$(pyenv root 2>/dev/null) || pyenv_root=/nonexistent
    for version in "$@"; do
        for candidate in "python$version" python3 python "$pyenv_root/versions/$version".*/bin/python; do
            if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
                # A launcher may lead elsewhere tomorrow: keep what it leads to now.
                "$candidate" -c 'import sys; print(sys.executable)'
                return 0
            fi
        done
    done
    return 1
}

# The Pythons that have a TensorFlow, in the order in which they are taken: 2.15, then 2.21, then 1.15.
supported_pythons="3.11 3.10 3.9 3.13 3.12 3.7"

# need_python VERSION...: find_python, and a line that says what is needed where there is none.
need_python() {
    find_python "$@" || {
        echo "no Python of $* on the PATH; TensorFlow 2.15 needs 3.11, 3.10 or 3.9; 2.21 needs 3.13 or 3.12; 1.15 needs 3.7" >&2
        return 2
    }
}

# make_venv DIRECTORY PYTHON REQUIREMENTS...: a virtual environment with these requirements files installed. Each file
# is installed once, and again when it has changed.
make_venv() {
    local venv=$1 python=$2 file stamp
    shift 2
    if ! [ -x "$venv/bin/python" ] || [ "$("$venv/bin/python" --version 2>&1)" != "$("$python" --version 2>&1)" ]; then
        echo "== making $venv with $("$python" --version 2>&1)"
        rm -rf "$venv"
        "$python" -m venv "$venv" || {
            echo "$python cannot make virtual environments (Debian: apt-get install python3-venv)" >&2
            return 1
        }
        "$venv/bin/pip" install --quiet --disable-pip-version-check --upgrade 'pip>=21' || return 1
    fi
    for file in "$@"; do
        stamp="$venv/.installed-$(echo "$file" | tr / -)"
        if ! cmp -s "$file" "$stamp"; then
            echo "== installing $file into $venv; this takes a few minutes"
            "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$file" || return 1
            cp "$file" "$stamp"
        fi
    done
}
