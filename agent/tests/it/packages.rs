//! `aws:configurePackage` with a store in a directory and on a web server.

use std::fs;
use std::path::{Path, PathBuf};

use muster_agent::package::{Order, Phase, Shelf, SigningKey, build};
use muster_harness::Folder;
use muster_proto::agent::v1::RunStatus;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::agent_process::kill;
use crate::coordinator::Ended;
use crate::tools::one;
use crate::{Scene, work};

/// Adds a version without a signature to a store.
pub(crate) fn package(store: &Path, name: &str, version: &str, install: &str) {
    let from = Folder::new("source");
    fs::write(from.join("data"), format!("data-{version}\n")).unwrap();
    fs::write(from.join("install.sh"), format!("{install}\n")).unwrap();
    let order = Order {
        name,
        version,
        platform: "_any",
        platform_version: "_any",
        architecture: "_any",
        directory: from.path(),
        store,
    };
    build(&order, None).unwrap();
}

/// A store, a key, and an agent that trusts both. The package's scripts write what they do into a file.
struct Shop {
    scene: Scene,
    key: SigningKey,
    store: PathBuf,
    diary: PathBuf,
}

impl Shop {
    async fn open() -> Self {
        let key = SigningKey::generate().unwrap();
        let scene = Scene::start().await;
        let (store, diary) = (scene.agent.scratch("store"), scene.agent.scratch("diary"));
        let shop = Self {
            scene,
            key,
            store,
            diary,
        };
        shop.configure(&format!("file://{}", shop.store.display()), "").await;
        for version in ["1.0.0", "1.1.0", "2.0.0"] {
            shop.add(
                version,
                &format!(
                    "echo installed {version} $SSM_port $(cat data) >> '{}'",
                    shop.diary.display()
                ),
            );
        }
        shop
    }

    async fn configure(&self, url: &str, more: &str) {
        let hellos = self.scene.coordinator.hellos().len();
        self.scene.agent.set_config(&format!(
            "[packages]\nurl = {url:?}\nkeys = [\"{}\"]\n{more}\n",
            self.key.public()
        ));
        muster_harness::until("the configuration is read", async || {
            let now = self.scene.coordinator.hellos().len();
            if now > hellos { Ok(()) } else { Err(now) }
        })
        .await;
    }

    /// Adds a version whose install script is this one.
    fn add(&self, version: &str, install: &str) {
        let from = self.scene.agent.scratch(&format!("source-{version}"));
        fs::create_dir_all(&from).unwrap();
        fs::write(from.join("data"), format!("data-{version}")).unwrap();
        fs::write(from.join("install.sh"), format!("{install}\n")).unwrap();
        for verb in ["uninstall", "update"] {
            let line = format!("echo {verb} {version} >> '{}'\n", self.diary.display());
            fs::write(from.join(format!("{verb}.sh")), line).unwrap();
        }
        build(&self.order(version, &from), Some(&self.key)).unwrap();
    }

    fn order<'a>(&'a self, version: &'a str, directory: &'a Path) -> Order<'a> {
        Order {
            name: "tool",
            version,
            platform: "_any",
            platform_version: "_any",
            architecture: "_any",
            directory,
            store: &self.store,
        }
    }

    async fn run(&self, inputs: Value) -> Ended {
        let mut all = json!({"name": "tool"});
        for (name, value) in inputs.as_object().unwrap() {
            all[name] = value.clone();
        }
        let run = self
            .scene
            .coordinator
            .send(&work::of(&one("aws:configurePackage", all)))
            .await;
        self.scene.coordinator.end(run).await
    }

    /// What the scripts wrote since the last look.
    fn diary(&self) -> Vec<String> {
        let lines = fs::read_to_string(&self.diary)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        let _ = fs::remove_file(&self.diary);
        lines
    }

    fn installed(&self) -> Option<(String, Phase)> {
        let shelf = Shelf::at(&self.scene.agent.state().packages(), "tool");
        shelf
            .read()
            .unwrap()
            .map(|installed| (installed.version, installed.phase))
    }
}

#[tokio::test]
async fn a_package_is_installed_updated_and_removed() {
    let shop = Shop::open().await;
    let ended = shop
        .run(json!({"action": "Install", "version": "1.0.0", "additionalArguments": "{\"port\": \"80\"}"}))
        .await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(shop.diary(), ["installed 1.0.0 80 data-1.0.0"]);
    assert_eq!(shop.installed(), Some(("1.0.0".into(), Phase::Installed)));

    let again = shop.run(json!({"action": "Install", "version": "1.0.0"})).await;
    assert_eq!(again.status(), RunStatus::Success);
    assert!(
        again.step().stdout.contains("tool 1.0.0 is already installed"),
        "{}",
        again.step().stdout
    );
    assert!(shop.diary().is_empty());

    let in_place = shop
        .run(json!({"action": "Install", "version": "1.1.0", "installationType": "In-place update"}))
        .await;
    assert_eq!(in_place.status(), RunStatus::Success, "{in_place:#?}");
    assert_eq!(shop.diary(), ["update 1.1.0"]);

    let latest = shop.run(json!({"action": "Install"})).await;
    assert_eq!(latest.status(), RunStatus::Success, "{latest:#?}");
    assert_eq!(shop.diary(), ["uninstall 1.1.0", "installed 2.0.0 data-2.0.0"]);
    assert_eq!(shop.installed(), Some(("2.0.0".into(), Phase::Installed)));

    let removed = shop.run(json!({"action": "Uninstall"})).await;
    assert_eq!(removed.status(), RunStatus::Success, "{removed:#?}");
    assert_eq!(shop.diary(), ["uninstall 2.0.0"]);
    assert_eq!(shop.installed(), None);
    let nothing = shop.run(json!({"action": "Uninstall"})).await;
    assert_eq!(nothing.status(), RunStatus::Success);
    assert!(nothing.step().stdout.contains("tool is not installed"));
}

#[tokio::test]
async fn what_is_not_signed_by_a_known_key_or_was_changed_is_refused() {
    let shop = Shop::open().await;
    let refuses = async |version: &str, words: &str| {
        let ended = shop.run(json!({"action": "Install", "version": version})).await;
        assert_eq!(ended.status(), RunStatus::Failed);
        assert!(
            ended.step().trace.contains(words),
            "{} lacks {words}",
            ended.step().trace
        );
        assert!(shop.diary().is_empty() && shop.installed().is_none());
    };
    let from = shop.scene.agent.scratch("source-1.0.0");
    build(&shop.order("1.0.0", &from), None).unwrap();
    refuses("1.0.0", "it is not signed").await;
    build(&shop.order("1.0.0", &from), Some(&SigningKey::generate().unwrap())).unwrap();
    refuses("1.0.0", "not among this machine's package keys").await;
    let manifest = shop.store.join("tool/1.1.0/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let sum = text.split("\"sha256\": \"").nth(1).unwrap()[..64].to_owned();
    fs::write(&manifest, text.replace(&sum, &"0".repeat(64))).unwrap();
    refuses("1.1.0", "it was changed after it was signed").await;
    let archive = shop.store.join("tool/2.0.0/tool_2.0.0__any__any__any.zip");
    let mut bytes = fs::read(&archive).unwrap();
    bytes[40] ^= 1;
    fs::write(&archive, bytes).unwrap();
    refuses("2.0.0", "is not the one that the manifest names").await;
    refuses("3.0.0", "has no package tool in the version 3.0.0").await;

    build(&shop.order("1.0.0", &from), None).unwrap();
    shop.configure(&format!("file://{}", shop.store.display()), "allow_unsigned = true")
        .await;
    let ended = shop.run(json!({"action": "Install", "version": "1.0.0"})).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
}

#[tokio::test]
async fn a_version_that_cannot_be_installed_leaves_the_one_before() {
    let shop = Shop::open().await;
    shop.run(json!({"action": "Install", "version": "1.0.0"})).await;
    shop.add(
        "3.0.0",
        &format!("echo tried 3.0.0 >> '{}'; exit 4", shop.diary.display()),
    );
    shop.diary();
    let ended = shop.run(json!({"action": "Install", "version": "3.0.0"})).await;
    assert_eq!(
        (ended.status(), ended.step().code),
        (RunStatus::Failed, 4),
        "{ended:#?}"
    );
    assert!(
        ended.step().trace.contains("tool 1.0.0 is back"),
        "{}",
        ended.step().trace
    );
    assert_eq!(
        shop.diary(),
        ["uninstall 1.0.0", "tried 3.0.0", "installed 1.0.0 data-1.0.0"]
    );
    assert_eq!(shop.installed(), Some(("1.0.0".into(), Phase::Installed)));
}

#[tokio::test]
async fn an_installation_that_was_interrupted_is_repaired_by_itself() {
    let shop = Shop::open().await;
    let go_on = shop.scene.agent.scratch("go-on");
    let diary = shop.diary.display();
    shop.add(
        "3.0.0",
        &format!(
            "echo begun >> '{diary}'; {}; echo done >> '{diary}'",
            work::wait_for(&go_on)
        ),
    );
    let item = work::of(&one(
        "aws:configurePackage",
        json!({"name": "tool", "action": "Install", "version": "3.0.0"}),
    ));
    let run = shop.scene.coordinator.send(&item).await;
    muster_harness::until("the script has begun", async || {
        let lines = fs::read_to_string(&shop.diary).unwrap_or_default();
        if lines == "begun\n" { Ok(()) } else { Err(lines) }
    })
    .await;
    assert_eq!(shop.installed(), Some(("3.0.0".into(), Phase::Installing)));
    kill(shop.scene.agent.runner(run).await);
    muster_harness::until("the script has begun again", async || {
        let lines = fs::read_to_string(&shop.diary).unwrap_or_default();
        if lines == "begun\nbegun\n" { Ok(()) } else { Err(lines) }
    })
    .await;
    fs::write(&go_on, "").unwrap();
    let ended = shop.scene.coordinator.end(run).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert!(ended.step().trace.contains("it is repaired"), "{}", ended.step().trace);
    assert_eq!(shop.diary(), ["begun", "begun", "done"]);
    assert_eq!(shop.installed(), Some(("3.0.0".into(), Phase::Installed)));
}

#[tokio::test]
async fn a_store_may_be_a_web_server() {
    let shop = Shop::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/shop", listener.local_addr().unwrap());
    let root = shop.store.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request
                .split(' ')
                .nth(1)
                .unwrap()
                .strip_prefix("/shop/")
                .unwrap()
                .to_owned();
            let (status, body) = match fs::read(root.join(&path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
        }
    });
    shop.configure(&url, "").await;
    let ended = shop.run(json!({"action": "Install"})).await;
    assert_eq!(ended.status(), RunStatus::Success, "{ended:#?}");
    assert_eq!(shop.diary(), ["installed 2.0.0 data-2.0.0"]);
    let ended = shop.run(json!({"action": "Install", "version": "9.0.0"})).await;
    assert!(
        ended.step().trace.contains("has no package tool in the version 9.0.0"),
        "{}",
        ended.step().trace
    );
}
