# The machine's file system, and the machine.

# Makes $cache/initramfs.gz: busybox, the kernel's modules, tc, and the programs with their libraries.
make_initramfs() {
    local tree=$cache/initramfs busybox=$root/bin/busybox version name
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,sbin,dev,proc,sys,tmp,etc,lib/modules,tc}
    cp "$busybox" "$tree/bin"
    install -m 755 "$here/guest/init" "$tree/init"
    cp "$here/guest/steps.sh" "$tree/steps.sh"
    printf '%s\n' "$*" >"$tree/selected"

    cp -r "$kernel"/lib/modules/* "$tree/lib/modules"
    version=$(ls "$tree/lib/modules")
    cp "$cache/loopback/v4l2loopback.ko" "$tree/lib/modules/$version"
    "$busybox" depmod -b "$tree" "$version"

    for name in "${!programs[@]}"; do
        strip -o "$tree/bin/$name" "${programs[$name]}"
        ldd "${programs[$name]}" | grep -o '/[^ ]*' | xargs cp -L --parents -t "$tree"
    done
    # It has the unpacked libraries, which may be others than those of the programs, and so a folder of its own.
    cp "$root/sbin/tc" "$loader" "$tree/tc"
    "$loader" --library-path "$libraries" --list "$root/sbin/tc" | grep -o '=> /[^ ]*' | cut -c 4- | xargs cp -L -t "$tree/tc"

    (cd "$tree" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$cache/initramfs.gz"
}

# Boots, and passes on what the machine says. All of it, the firmware's included, is in $cache/serial.log.
#
# It is emulated, never by KVM: where /dev/kvm is there, it often cannot boot this kernel.
boot() {
    QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu timeout --foreground -s KILL "$limit" \
        "$loader" --library-path "$libraries" "$root/usr/bin/qemu-system-x86_64" \
        -L "$root/usr/share/seabios" -L "$root/usr/share/qemu" \
        -machine q35 -accel tcg -cpu max -smp 2 -m 512 -nodefaults -nographic -serial stdio -no-reboot \
        -kernel "$kernel/vmlinux" -initrd "$cache/initramfs.gz" -append "console=ttyS0 quiet loglevel=3 panic=-1" \
        </dev/null 2>&1 | tee "$cache/serial.log" | sed -u -e 's/\r$//' -e '1,/^@@ up$/d' -e '/^@@ sum/d' || true
}
