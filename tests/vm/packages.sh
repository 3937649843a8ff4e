# Debian's packages, by name, unpacked into the cache and never installed: installing qemu removes other packages on some machines.
#
#   $cache/debs      what was downloaded
#   $cache/root      qemu, tc, xz and all of their libraries, which run by their own loader, on whatever is installed here
#   $cache/kernel    the kernel, and of its modules what the tests load
#   $cache/headers   what it takes to build a module for it
#   $cache/clang     libclang, if this machine has none

root=$cache/root
kernel=$cache/kernel
libraries=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
loader=$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2

packages() {
    # Unpacked by this very file: nothing to do, and no network needed.
    local stamp
    stamp=$(cksum <"$here/packages.sh")
    if [[ ! -f $cache/unpacked || $(<"$cache/unpacked") != "$stamp" ]]; then
        rm -rf "$root" "$kernel" "$cache/headers" "$cache/loopback"
        fetch_and_unpack
        printf '%s\n' "$stamp" >"$cache/unpacked"
    fi
    provide_clang
}

fetch_and_unpack() {
    local image headers tools building
    refresh_lists
    image=$(concrete linux-image-amd64)
    headers=$(concrete linux-headers-amd64)
    # What only installing needs is left out.
    tools=$(closure qemu-system-x86 iproute2 xz-utils make | grep -vxE 'iso-codes|ipxe-qemu|adduser|passwd|debconf|libpam-.*')
    building=$(depends "$headers" | grep -v compiler)
    download "$image" "$headers" busybox-static v4l2loopback-dkms $tools $building

    unpack "$root" busybox-static $tools &
    local unpacking=$!
    unpack_kernel "$image"
    unpack "$cache/headers" "$headers" $building v4l2loopback-dkms
    # It is made for being installed.
    sed -i "s|/usr/src|$cache/headers/usr/src|" "$cache/headers/usr/src/$headers/Makefile"
    wait "$unpacking"
    extract_vmlinux
}

# Runs an unpacked program with the libraries that were unpacked with it.
unpacked() {
    local program=$root/$1
    shift
    "$loader" --library-path "$libraries" "$program" "$@"
}

refresh_lists() {
    if ! apt-cache show qemu-system-x86 >/dev/null 2>&1; then
        say "apt knows no packages yet: updating its lists (as root)"
        apt-get update -q >&2
    fi
}

unpack_kernel() {
    mkdir -p "$kernel"
    dpkg-deb --fsys-tarfile "$cache/debs/$1"_*.deb | tar -x -C "$kernel" --wildcards \
        './boot/vmlinuz-*' '*/kernel/drivers/media/common/*' '*/kernel/drivers/media/mc/*' \
        '*/kernel/drivers/media/v4l2-core/*' '*/kernel/drivers/media/cec/core/*' '*/kernel/drivers/media/rc/rc-core.ko' \
        '*/kernel/drivers/media/test-drivers/*' '*/kernel/net/sched/sch_netem.ko'
}

# The kernel proper is compressed inside of a loader. Booted without that loader, the machine is up in a third of the time.
extract_vmlinux() {
    local offset
    # What only looks like the beginning of an xz file gives nothing.
    for offset in $(grep -aobP '\xfd7zXZ\x00' "$kernel"/boot/vmlinuz-* | cut -d: -f1); do
        tail -c +$((offset + 1)) "$kernel"/boot/vmlinuz-* | unpacked usr/bin/xz -dc --single-stream >"$kernel/vmlinux" 2>/dev/null || true
        [[ -s $kernel/vmlinux ]] && return
    done
    say "there is no kernel compressed by xz in $(ls "$kernel/boot"): see extract_vmlinux in tests/vm/packages.sh"
    return 1
}

# The v4l crate takes libclang to build. Where it is looked for is the rule of clang-sys.
provide_clang() {
    if [[ -n ${LIBCLANG_PATH:-} ]] || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib/x86_64-linux-gnu/libclang*.so*' >/dev/null; then
        return
    fi
    if [[ ! -d $cache/clang ]]; then
        refresh_lists
        # The machine's own C library has to stay the one in use.
        local names
        names=$(closure libclang1 | grep -vxE 'libc6|libgcc-s1|gcc-.*-base|libstdc\+\+6|libcrypt1')
        download $names
        unpack "$cache/clang.part" $names
        mv "$cache/clang.part" "$cache/clang"
    fi
    export LIBCLANG_PATH
    LIBCLANG_PATH=$(dirname "$(find "$cache/clang/usr/lib/x86_64-linux-gnu" -name 'libclang-[0-9]*.so*' | sort | tail -n 1)")
    clang_libraries=$LIBCLANG_PATH
}
clang_libraries=

# The packages that these need, as on a machine with nothing installed.
closure() {
    apt-get -s -o Dir::State::status=/dev/null --no-install-recommends install "$@" | awk '/^Inst / { print $2 }'
}

depends() { apt-cache depends "$1" | awk '$1 == "Depends:" { print $2 }'; }

# The package of one version that a package without version stands for.
concrete() { depends "$1" | sed -n 1p; }

download() {
    local name
    mkdir -p "$cache/debs"
    # Older versions would be unpacked too.
    for name in "$@"; do rm -f "$cache/debs/$name"_*.deb; done
    (cd "$cache/debs" && apt-get download -q -o APT::Sandbox::User=root "$@" >/dev/null) || {
        say "downloading failed: if apt's lists are old, run apt-get update"
        return 1
    }
}

# Unpacks packages into a folder, without what is only to be read.
unpack() {
    local folder=$1 name
    shift
    mkdir -p "$folder"
    for name in "$@"; do
        dpkg-deb --fsys-tarfile "$cache/debs/$name"_*.deb |
            tar -x -C "$folder" --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale'
    done
}
