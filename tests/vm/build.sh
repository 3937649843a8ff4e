# What runs in the machine and is no package.

# The programs in the guest's /bin, and where each was built.
declare -A programs

# Of the whole workspace, so that they share what they are made of with each other and with `cargo test --workspace`.
build_programs() {
    programs[vivid]=$(built test --test vivid --no-run)
    programs[video]=$(built build --example video)
}

# Builds with cargo and prints where the executable is.
built() {
    local command=$1 environment=() messages
    shift
    if [[ -n $clang_libraries ]]; then
        environment=(LD_LIBRARY_PATH="$clang_libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
    fi
    messages=$(cd "$repo" && env "${environment[@]}" cargo "$command" --locked --message-format json-render-diagnostics \
        --workspace --features "$features" "$@")
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<<"$messages" | tail -n 1
}

# The module gives JPEG, which vivid does not.
build_loopback() {
    [[ -f $cache/loopback/v4l2loopback.ko ]] && return
    local headers=$cache/headers/usr
    rm -rf "$cache/loopback" && mkdir -p "$cache/loopback/lib"
    cp "$headers"/src/v4l2loopback-*/v4l2loopback*.[ch] "$cache/loopback"
    echo 'obj-m := v4l2loopback.o' >"$cache/loopback/Kbuild"
    # The kernel's own tools need these, which may not be installed.
    cp -L "$root"/usr/lib/x86_64-linux-gnu/libelf.so.1 "$root"/lib/x86_64-linux-gnu/libz.so.1 "$cache/loopback/lib"
    local make
    make=$(command -v make || echo "$root/usr/bin/make")
    if ! LD_LIBRARY_PATH=$cache/loopback/lib "$make" -C "$headers"/src/linux-headers-*-amd64 M="$cache/loopback" modules \
        >"$cache/loopback/log" 2>&1; then
        say "v4l2loopback was not built:"
        cat "$cache/loopback/log" >&2
        return 1
    fi
}
