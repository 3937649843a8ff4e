# What runs in the machine, in this order. A step is a function; `libtest` and `check` of init count what it runs.
STEPS="cameras jpeg chain network loss"

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

# From a camera through a controller to two viewers, each a process of its own.
step_chain() {
    modprobe vivid n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0,0
    check "a camera's video reaches two viewers" plays 30 --source camera:/dev/video0 --size 320x180
    check "as JPEG at half the size too" plays 30 --source camera:/dev/video1 --size 320x180 --scale 50 --codec jpeg
    check "a camera that is unplugged and plugged in again goes on" survives_unplugging
}

# Streams on a network that loses packets and is slow.
step_loss() {
    for loss in 1% 5%; do
        check "a stream at $loss loss and 20 ms delay is complete" \
            with_netem $loss 20ms plays 60 --source pattern --size 160x90 --fps 30
    done
}

# Plays that many frames to two viewers, and sees that each has all of them, whole and in order.
plays() {
    frames=$1
    shift
    video --headless --json --frames "$frames" "$@" >/tmp/video 2>/tmp/video-errors
    status=$?
    cat /tmp/video
    for viewer in process2 process3; do
        grep -q "\"viewer\":\"$viewer\",\"frames\":$frames,\"in_order\":true,\"intact\":true" /tmp/video || status=1
    done
    [ $status = 0 ] || { cat /tmp/video-errors; return 1; }
}

# The camera is pulled once the viewers have frames. Their table tells: the second of its columns is how many.
survives_unplugging() {
    driver=/sys/bus/platform/drivers/vivid
    # Of the video before.
    rm -f /tmp/video-errors
    plays 100 --source camera:/dev/video0 --size 320x180 &
    video=$!
    until has_frames 2>/dev/null || ! kill -0 $video; do usleep 20000; done
    echo vivid.0 >$driver/unbind
    until grep -q unplugged /tmp/video-errors || ! kill -0 $video; do usleep 20000; done
    echo vivid.0 >$driver/bind
    wait $video && grep -q unplugged /tmp/video-errors
}

has_frames() { awk '/^process3/ && $2 > 0 { found = 1 } END { exit !found }' /tmp/video-errors; }

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
