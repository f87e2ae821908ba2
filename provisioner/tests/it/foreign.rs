//! Volumes that hold somebody else's data, or are in use: named, and not touched.

use serde_json::json;

use crate::droplet::{Droplet, can_boot};
use crate::refusals::{VOLUME, refusal};
use crate::workstation::Workstation;

/// CRC of LVM's labels (CRC-32 without the final inversion, from a start value of its own).
fn lvm_crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xf597_a6cf, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

/// The first sectors of a physical volume of LVM.
fn lvm() -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[..8].copy_from_slice(b"LABELONE");
    sector[8] = 1;
    sector[20] = 32;
    sector[24..32].copy_from_slice(b"LVM2 001");
    sector[32..64].copy_from_slice(b"abcdefghijklmnopqrstuvwxyz012345");
    let crc = lvm_crc(&sector[20..]);
    sector[16..20].copy_from_slice(&crc.to_le_bytes());
    [vec![0; 512], sector].concat()
}

/// A master boot record with one Linux partition.
fn partitioned() -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[446..462].copy_from_slice(&[0, 0, 2, 0, 0x83, 0xff, 0xff, 0xff, 0, 8, 0, 0, 0, 0, 16, 0]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[test]
fn nothing_is_formatted_over_somebody_elses_data() {
    if !can_boot("nothing_is_formatted_over_somebody_elses_data") {
        return;
    }
    let droplet = Droplet::up("foreign");
    let workstation = Workstation::of(&droplet);
    droplet.told("DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends xfsprogs");
    let put = |bytes: &[u8]| {
        let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
        format!("printf '{octal}' | dd of={VOLUME} conv=notrunc,fsync status=none")
    };
    let contents = [
        ("xfs", format!("mkfs.xfs -q {VOLUME}")),
        ("swap", format!("mkswap -q {VOLUME}")),
        // One byte of the superblock is wrong, so its checksum is, and blkid says nothing: ours, and somebody's.
        (
            "a damaged ext4",
            format!(
                "mkfs.ext4 -q {VOLUME} && printf X | dd of={VOLUME} bs=1 seek=1144 conv=notrunc,fsync status=none"
            ),
        ),
        (
            "a damaged xfs",
            format!(
                "mkfs.xfs -q {VOLUME} && printf X | dd of={VOLUME} bs=1 seek=108 conv=notrunc,fsync status=none"
            ),
        ),
        ("crypto_LUKS", put(b"LUKS\xba\xbe\x00\x01")),
        ("LVM2_member", put(&lvm())),
        ("dos partition table", put(&partitioned())),
    ];
    let hash = || droplet.told(&format!("head -c 4194304 {VOLUME} | sha256sum"));
    for (found, make) in contents {
        droplet.told(&format!("{make} && blockdev --flushbufs {VOLUME}"));
        let before = hash();
        assert_eq!(
            refusal(&workstation, &droplet),
            format!(
                "error: HOST: filesystem {VOLUME}: found {found} on {VOLUME}, expected ext4 or an empty device; sepctl never \
                 formats over anything. If its content may go, run `wipefs --all {VOLUME}` on the host"
            ),
        );
        assert_eq!(hash(), before, "{found}");
        droplet.told(&format!(
            "wipefs -qa {VOLUME} && dd if=/dev/zero of={VOLUME} bs=1M count=4 conv=fsync status=none"
        ));
    }

    // In use elsewhere, as another kind and as the right one (so would the system's own disk be).
    let other = Workstation::of(&droplet).set("volume.filesystem", json!("xfs"));
    droplet.told(&format!("mkfs.ext4 -q {VOLUME} && mount {VOLUME} /srv && echo theirs > /srv/file && sync"));
    assert_eq!(
        refusal(&other, &droplet),
        format!(
            "error: HOST: filesystem {VOLUME}: {VOLUME} is in use: /dev/sda is mounted on /srv; sepctl touches no disk that is \
             in use. Name the volume as `volume.device`"
        )
    );
    let workstation = Workstation::of(&droplet);
    assert_eq!(
        refusal(&workstation, &droplet),
        format!(
            "error: HOST: mount /mnt/sep_data: {VOLUME} is in use: it is mounted on /srv, expected /mnt/sep_data or nowhere; \
             unmount it, or correct `volume` in the inventory"
        )
    );
    assert_eq!(
        droplet.told("cat /srv/file; ls -d /mnt/sep_data /etc/sep /var/lib/sep 2>/dev/null; true"),
        "theirs"
    );
}
