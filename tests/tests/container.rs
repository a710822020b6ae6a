//! The container image and the cloud-init example: no engine and no cloud run here, but what they would run does.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::machine::Disk;
use hubward_tests::ours::{self, PASSWORD, program};
use hubward_tests::process::{self, Daemon, IN_TIME};
use hubward_tests::site::Site;
use hubward_tests::sources::top;
use yaml_rust2::{Yaml, YamlLoader};

/// The last stage of the Containerfile.
struct Image {
    /// (what, value), one for each instruction, continuation lines joined.
    instructions: Vec<(String, String)>,
}

impl Image {
    fn read() -> Result<Self> {
        let text = std::fs::read_to_string(top().join("packaging/container/Containerfile"))?;
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let joined = lines.join("\n").replace("\\\n", " ");
        let stage = joined.rfind("\nFROM ").context("no second stage")?;
        let instructions = joined[stage..]
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(what, value)| (what.to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Self { instructions })
    }

    fn all(&self, what: &str) -> impl Iterator<Item = &str> {
        let instructions = self.instructions.iter();
        let of_it = instructions.filter(move |(name, _)| name == what);
        of_it
            .map(|(_, value)| value.as_str())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// A list of words in JSON.
    fn words(&self, what: &str) -> Result<Vec<String>> {
        let value = self.all(what).next().with_context(|| format!("no {what}"))?;
        Ok(serde_json::from_str(value)?)
    }

    /// Does what an engine does; packages of the distribution are there already.
    fn build(&self, disk: &Disk<'_>) -> Result<()> {
        for run in self.all("RUN") {
            for part in run.split("&&").map(str::trim) {
                if !part.starts_with("apt-get") && !part.starts_with("rm ") {
                    let answer = process::answer(&mut disk.command(&["sh", "-euc", part]))?;
                    ensure!(
                        answer.code == 0 || !lab::is_of_root(),
                        "{part}: {}",
                        answer.stderr
                    );
                }
            }
        }
        for copy in self.all("COPY") {
            let words: Vec<&str> = copy.split_whitespace().collect();
            let [_, from, to] = words[..] else {
                anyhow::bail!("COPY {copy}");
            };
            let name = from
                .strip_prefix("/src/target/release/")
                .with_context(|| copy.to_owned())?;
            disk.put(&program(name)?, to)?;
        }
        Ok(())
    }

    /// The command of a container with these arguments, as this user, with these capabilities and no way to more.
    fn container(
        &self,
        disk: &Disk<'_>,
        user: &str,
        capabilities: &str,
        arguments: &[String],
    ) -> Result<Command> {
        let bounds = format!("--bounding-set={capabilities}");
        let mut words = vec!["setpriv", "--no-new-privs", &bounds, "--inh-caps=-all"];
        let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
        if lab::is_of_root() {
            words.extend([uid.as_str(), gid.as_str(), "--clear-groups"]);
        }
        let entry = self.words("ENTRYPOINT")?;
        words.extend(entry.iter().chain(arguments).map(String::as_str));
        let mut command = disk.command(&words);
        for (name, value) in self.all("ENV").filter_map(|env| env.split_once('=')) {
            command.env(name, value);
        }
        Ok(command)
    }
}

/// A container's disk, with the devices that an engine puts into it.
fn disk_of<'a>(site: &'a Site, image: &Image) -> Result<Disk<'a>> {
    let disk = Disk::fresh(&site.nat)?;
    image.build(&disk)?;
    let root = disk.on_host("/");
    let root = root.display();
    site.nat.sh(&format!(
        "mount --rbind /dev {root}/dev; mount --rbind /sys {root}/sys; mount -t tmpfs tmpfs {root}/run"
    ))?;
    Ok(disk)
}

#[test]
fn image_serves_without_any_privilege() {
    lab::run_with_system(|lab: &Lab| {
        let site = Site::new(lab)?;
        let image = Image::read()?;
        let disk = disk_of(&site, &image)?;
        let user = image
            .all("USER")
            .last()
            .context("the image has no user of its own")?
            .to_owned();
        let mut server = Daemon::start(
            "container",
            &mut image.container(&disk, &user, "-all", &image.words("CMD")?)?,
        )?;
        let ready = server.line_with("ready", IN_TIME)?;
        ensure!(ready.contains("nat_mode=user"), "{ready}");
        // The image's own check of its health.
        let check = image.all("HEALTHCHECK").next().context("no check of health")?;
        let words = check
            .split_once("CMD ")
            .map(|(_, words)| words)
            .unwrap_or_default();
        let words: Vec<String> = serde_json::from_str(words)?;
        let mut command = image.container(&disk, &user, "-all", &words[1..])?;
        ensure!(
            process::answer(&mut command)?.code == 0,
            "the server is not well, it says"
        );
        // What `podman exec` would do.
        let setup = [
            "setup",
            "--unattended",
            "--hub",
            ours::HUB,
            "--user",
            ours::USER,
            "--user-password-file",
            "/tmp/alice",
            "--secure-nat",
        ];
        std::fs::write(disk.path("/tmp/alice"), PASSWORD)?;
        process::run(&mut image.container(&disk, &user, "-all", &setup.map(str::to_owned))?)?;
        let client = ours::Client::connect(&site.user, "203.0.113.1:5555", &["--insecure"])?;
        ours::address_of(&site.user, "hubward0", IN_TIME)?;
        site.user_sees_the_private_page()?;
        client.stop()?;
        server.signal(nix::sys::signal::Signal::SIGTERM)?;
        ensure!(server.wait(IN_TIME)? == 0, "{}", server.log());
        Ok(())
    });
}

#[test]
fn image_serves_in_kernel_mode_with_net_admin_alone() {
    lab::run_with_system(|lab: &Lab| {
        let site = Site::new(lab)?;
        let image = Image::read()?;
        let disk = disk_of(&site, &image)?;
        // What `:U` of the volume does for a container that runs as root.
        process::run(&mut disk.command(&[
            "sh",
            "-c",
            "mkdir -p /var/lib/hubward; chown 0:0 /var/lib/hubward",
        ]))?;
        let arguments = ["run", "--nat-mode", "kernel", "--listen", "5555"].map(str::to_owned);
        let mut server = Daemon::start(
            "container",
            &mut image.container(&disk, "0", "-all,+net_admin", &arguments)?,
        )?;
        let ready = server.line_with("ready", IN_TIME)?;
        ensure!(ready.contains("nat_mode=kernel"), "{ready}");
        let setup = [
            "setup",
            "--unattended",
            "--hub",
            ours::HUB,
            "--secure-nat",
            "--publish",
            "80=10.0.1.26:80",
        ];
        process::run(&mut image.container(&disk, "0", "-all", &setup.map(str::to_owned))?)?;
        site.page
            .is_seen_from(&site.user, site.published())
            .with_context(|| server.log())?;
        server.signal(nix::sys::signal::Signal::SIGTERM)?;
        ensure!(server.wait(IN_TIME)? == 0, "{}", server.log());
        let left = site
            .nat
            .sh("nft list tables; ip -brief link | grep hwn_ || true")?;
        ensure!(left.trim().is_empty(), "left behind: {left}");
        Ok(())
    });
}

#[test]
fn cloud_init_example_is_read_and_its_setup_works() {
    lab::run(|lab| {
        let text = std::fs::read_to_string(top().join("packaging/cloud-init/user-data.yaml"))?;
        ensure!(
            text.starts_with("#cloud-config\n"),
            "cloud-init would not take it for its own"
        );
        let documents = YamlLoader::load_from_str(&text)?;
        let config = documents.first().context("an empty file")?;
        let commands = config["runcmd"].as_vec().context("no runcmd")?;
        let words = |command: &Yaml| -> Result<Vec<String>> {
            let words = command
                .as_vec()
                .context("a command that is no list of words would go through a shell")?;
            words
                .iter()
                .map(|word| Ok(word.as_str().context("a word that is no text")?.to_owned()))
                .collect()
        };
        let commands = commands.iter().map(words).collect::<Result<Vec<_>>>()?;
        let setup = commands
            .iter()
            .find(|words| words[0] == "vpnserver")
            .context("no vpnserver setup")?;
        for file in config["write_files"].as_vec().context("no write_files")? {
            ensure!(
                file["path"].as_str().is_some() && file["content"].as_str().is_some(),
                "{file:?}"
            );
        }

        let host = lab.host("instance")?;
        host.sh("mount -t tmpfs tmpfs /root; mkdir -m 0700 /root/hubward")?;
        let said = process::run(host.command(program("vpnserver")?).args(&setup[1..]))?;
        ensure!(
            said.contains("vpnclient connect VPN.EXAMPLE.ORG --hub lab --user alice --pin sha256:"),
            "{said}"
        );
        let secrets =
            host.sh("cat /root/hubward/administrator /root/hubward/alice; stat -c %a /root/hubward/*")?;
        let lines: Vec<&str> = secrets.lines().collect();
        ensure!(lines.len() == 4 && lines[2..] == ["600", "600"], "{secrets}");
        ensure!(
            !lines[..2].iter().any(|secret| said.contains(secret)),
            "a password would be in cloud-init's log"
        );
        let again = process::run(host.command(program("vpnserver")?).args(&setup[1..]))?;
        ensure!(again.contains("nothing was changed"), "{again}");
        Ok(())
    });
}
