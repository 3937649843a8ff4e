# What runs in the machine, in this order. A step is a function; `libtest` and `check` of init count what it runs.
STEPS="cameras jpeg network"

# Drivers that fail on demand: two cameras that give test patterns.
step_cameras() {
    modprobe vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0,0
    libtest vivid --ignored --test-threads=1 --skip jpeg::
}

# A camera that gives JPEG, which a test feeds.
step_jpeg() {
    modprobe vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0,0
    modprobe v4l2loopback video_nr=10 exclusive_caps=1
    libtest vivid --ignored --test-threads=1 jpeg::
}

# Loss and delay are what they are set to, and gone afterwards.
step_network() {
    check "packets are lost" with_netem 20% 0ms loses_packets
    check "packets are delayed" with_netem 0% 20ms takes_40_ms
    check "the network is good again" arrives
}

# Each ping is two packets: that none of 100 is lost at 20 % happens once in five thousand million times.
loses_packets() {
    ping -c 50 -i 0.02 -W 1 127.0.0.1 >/tmp/ping
    grep 'packet loss' /tmp/ping
    ! grep -q ' 0% packet loss' /tmp/ping && ! grep -q ' 100% packet loss' /tmp/ping
}

takes_40_ms() {
    ping -c 5 -i 0.1 127.0.0.1 >/tmp/ping
    tail -n 1 /tmp/ping
    # round-trip min/avg/max = 40.1/41.0/42.0 ms
    awk -F '[=/ ]+' '/^round-trip/ { found = 1; exit !($5 >= 40) } END { if (!found) exit 1 }' /tmp/ping
}

arrives() { ping -c 20 -i 0.01 127.0.0.1 | grep ' 0% packet loss'; }
