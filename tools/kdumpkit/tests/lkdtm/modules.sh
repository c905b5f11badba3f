# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest, behind lib.sh: points in modules that come and go.
loads cpoint_name=scsi_dispatch_cmd cpoint_type=PANIC cpoint_count=100000000
ok point_waits "crash point SCSI_QUEUE_RQ waits for module scsi_mod: type=PANIC count=100000000"
log=$(cat $D/SCSI_QUEUE_RQ)
ok waiting_is_read_back "point=SCSI_QUEUE_RQ symbol=- type=PANIC count=100000000 hits=0" "fired=no waits=scsi_mod"
for round in 1 2 3; do
	run modprobe scsi_mod
	ok "armed_when_it_comes_$round" "crash point SCSI_QUEUE_RQ armed: symbol=scsi_queue_rq type=PANIC"
	log=$(cat $D/SCSI_QUEUE_RQ)
	ok "armed_is_read_back_$round" "symbol=scsi_queue_rq" "fired=no"
	run rmmod scsi_mod
	ok "disarmed_when_it_goes_$round" "crash point SCSI_QUEUE_RQ disarmed: module scsi_mod goes"
	log=$(cat $D/SCSI_QUEUE_RQ)
	ok "waits_again_$round" "waits=scsi_mod"
done
# Not named as a module's, but in one.
run modprobe scsi_mod
write SYMBOL "scsi_queue_rq+0 BUG count=100000000"
ok found_in_a_module "crash point scsi_queue_rq armed"
write SYMBOL "scsi_mod:nosuch PANIC"
ok no_such_symbol_in_it "module scsi_mod has no such symbol"
[ $status != 0 ] || { echo "BAD: scsi_mod:nosuch was armed"; bad=1; }
run rmmod scsi_mod
log=$(cat $D/SYMBOL)
ok its_module_is_known_when_it_goes "point=scsi_queue_rq symbol=- type=BUG" "waits=scsi_mod"
write SYMBOL none
write SYMBOL "nosuch:f PANIC"
ok a_module_that_never_comes "crash point nosuch:f waits for module nosuch"
# A module's file may have dashes in its name, the module has underscores. Fires once, in whichever of its lives.
write SYMBOL "virtio-rng:virtio_rng_driver_init WARNING count=1"
dmesg -c >/dev/null
for round in 1 2 3; do
	modprobe virtio-rng
	rmmod virtio-rng
done
fired=$(dmesg -c | grep -c "fires: symbol=virtio_rng:virtio_rng_driver_init type=WARNING")
[ "$fired" = 1 ] && echo "ok fires_in_one_life_only" || { echo "BAD: fired $fired times"; bad=1; }
log=$(cat $D/SYMBOL)
ok spent_for_ever "point=virtio_rng:virtio_rng_driver_init" "fired=yes waits=virtio_rng"
write SYMBOL none
# The initialisation of a module can be a point, and its memory goes when it is done.
write SYMBOL "brd:brd_init NONE count=10"
run modprobe brd rd_nr=1
ok armed_before_it_starts "crash point brd:brd_init armed: symbol=brd:brd_init"
log=$(cat $D/SYMBOL)
ok its_start_is_hit "point=brd:brd_init symbol=brd:brd_init type=NONE count=10 hits=1"
rmmod brd
log=$(cat $D/SYMBOL)
ok it_waits_again "waits=brd"
# Both go under a storm of loads, waiting, armed and gone.
for i in $(seq 20); do
	modprobe scsi_mod; modprobe brd rd_nr=1
	echo "brd:brd_submit_bio PANIC count=1000000" >$D/SYMBOL
	[ $((i % 4)) != 0 ] || { rmmod lkdtm && modprobe lkdtm; }
	echo "PANIC count=1000000" >$D/SCSI_QUEUE_RQ
	rmmod brd; rmmod scsi_mod
done
loads=$(grep -c "point=" $D/SCSI_QUEUE_RQ)
[ "$loads" = 1 ] || { echo "BAD: $loads armed at SCSI_QUEUE_RQ"; bad=1; }
rmmod lkdtm
clean
exit $bad
