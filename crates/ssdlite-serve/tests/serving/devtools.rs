//! A headless Chromium, driven over its DevTools protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// No step of a test takes this long, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    last_id: u64,
    errors: Vec<String>,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Browser {
    /// Starts a browser whose camera shows a file's frames. None where there
    /// is no browser, outside CI.
    pub(crate) fn start(camera: &Path) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let Some(mut process) = launch(profile.path(), camera) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "Chromium is not installed, and CI must not skip this test"
            );
            eprintln!("skipped: Chromium is not installed");
            return None;
        };
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut lines = log.lines();
        let address = lines
            .by_ref()
            .find_map(|line| {
                Some(
                    line.ok()?
                        .strip_prefix("DevTools listening on ")?
                        .to_owned(),
                )
            })
            .expect("the browser tells where it listens");
        // Its log goes on, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));

        let host = address.split('/').nth(2).unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(address.as_str(), stream).unwrap();
        let mut browser = Self {
            process,
            socket,
            session: String::new(),
            last_id: 0,
            errors: Vec::new(),
            _profile: profile,
        };
        let page = browser.command("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.command("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "DOM"] {
            browser.command(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Sends a command and gives its result.
    pub(crate) fn command(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.try_command(method, parameters);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a command and gives its result, or why there is none.
    fn try_command(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket
            .send(Message::text(message.to_string()))
            .unwrap();
        loop {
            let message = self.socket.read().unwrap();
            let Ok(text) = message.to_text() else {
                continue;
            };
            let message: Value = serde_json::from_str(text).unwrap();
            if message["id"] == json!(self.last_id) {
                let error = message["error"].clone();
                let result = message["result"].clone();
                return if error.is_null() {
                    Ok(result)
                } else {
                    Err(error)
                };
            }
            self.note_errors(&message);
        }
    }

    fn note_errors(&mut self, event: &Value) {
        let parameters = &event["params"];
        let is_error = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => parameters["type"] == "error",
            Some("Log.entryAdded") => parameters["entry"]["level"] == "error",
            _ => false,
        };
        if is_error {
            self.errors.push(parameters.to_string());
        }
    }

    /// What went wrong in the page so far.
    pub(crate) fn errors(&mut self) -> &[String] {
        // Whatever the page said is here before the answer to this.
        self.evaluate("1");
        &self.errors
    }

    /// The value of a JavaScript expression, a promise's when it is kept.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let value = self.try_evaluate(expression);
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The same; an error if the page is left meanwhile.
    fn try_evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let parameters = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
        });
        let answer = self.try_command("Runtime.evaluate", parameters)?;
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true, in this page or one that follows it.
    pub(crate) fn wait_until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.try_evaluate(expression) != Ok(json!(true)) {
            if start.elapsed() > PATIENCE {
                let page = self.evaluate("document.body.innerText");
                panic!("{expression} is not true; {:?}; {page}", self.errors);
            }
            // The page goes on with its next frame, or is left.
            let _ = self.try_evaluate("new Promise((done) => setTimeout(done, 20))");
        }
    }

    pub(crate) fn open(&mut self, address: &str) {
        self.command("Page.navigate", json!({ "url": address }));
        self.wait_until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Sets the window's size in pixels, as a phone's or a desktop's.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.command("Emulation.setDeviceMetricsOverride", size);
    }

    /// Makes the page believe that its reader wants colours that are `light` or
    /// `dark`, and nothing that moves by itself.
    pub(crate) fn prefer_color_scheme(&mut self, scheme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.command(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    /// Lets pages use the camera without asking, as a person may for good.
    pub(crate) fn allow_camera(&mut self) {
        let allowed = json!({ "permissions": ["videoCapture"] });
        self.command("Browser.grantPermissions", allowed);
    }

    /// Clicks into the middle of an element.
    pub(crate) fn click(&mut self, selector: &str) {
        let middle = self.evaluate(&format!(
            "(() => {{
                const element = document.querySelector({selector:?});
                element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1,
            });
            self.command("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key by its name, such as `Home`, and its Windows key code.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && key.len() == 1 {
                event["text"] = json!(key);
            }
            self.command("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses a key while Ctrl is held.
    pub(crate) fn press_with_control(&mut self, key: &str, code: u32) {
        const CONTROL: u32 = 2;
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "windowsVirtualKeyCode": code, "modifiers": CONTROL,
            });
            self.command("Input.dispatchKeyEvent", event);
        }
    }

    /// Drags with the mouse from one point of the window to another.
    pub(crate) fn drag(&mut self, from: [f64; 2], to: [f64; 2]) {
        let middle = [0, 1].map(|axis| (from[axis] + to[axis]) / 2.0);
        for (kind, [x, y], buttons) in [
            ("mouseMoved", from, 0),
            ("mousePressed", from, 1),
            ("mouseMoved", middle, 1),
            ("mouseMoved", to, 1),
            ("mouseReleased", to, 0),
        ] {
            let button = if kind == "mouseMoved" && buttons == 0 {
                "none"
            } else {
                "left"
            };
            let event = json!({
                "type": kind, "x": x, "y": y, "button": button, "buttons": buttons,
                "clickCount": 1,
            });
            self.command("Input.dispatchMouseEvent", event);
        }
    }

    /// Drags with as many fingers as there are ways, each from one point of the window
    /// to another.
    pub(crate) fn touch(&mut self, ways: &[([f64; 2], [f64; 2])]) {
        let points = |share: f64| -> Vec<Value> {
            let at = |(id, (from, to)): (usize, &([f64; 2], [f64; 2]))| {
                let [x, y] = [0, 1].map(|axis| from[axis] + share * (to[axis] - from[axis]));
                json!({ "x": x, "y": y, "id": id })
            };
            ways.iter().enumerate().map(at).collect()
        };
        for (kind, touched) in [
            ("touchStart", points(0.0)),
            ("touchMove", points(0.5)),
            ("touchMove", points(1.0)),
            ("touchEnd", Vec::new()),
        ] {
            let event = json!({ "type": kind, "touchPoints": touched });
            self.command("Input.dispatchTouchEvent", event);
        }
    }

    /// Chooses files as if a person had picked them.
    pub(crate) fn choose_files(&mut self, selector: &str, files: &[&Path]) {
        let document = self.command("DOM.getDocument", json!({}));
        let query = json!({ "nodeId": document["root"]["nodeId"], "selector": selector });
        let node = self.command("DOM.querySelector", query);
        let files = json!({ "nodeId": node["nodeId"], "files": files });
        self.command("DOM.setFileInputFiles", files);
    }

    /// Lets the page save files into a folder.
    pub(crate) fn save_downloads_in(&mut self, folder: &Path) {
        let behavior = json!({ "behavior": "allow", "downloadPath": folder });
        self.command("Browser.setDownloadBehavior", behavior);
    }

    /// Saves what the window shows, or the whole page, as a PNG.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        self.evaluate("scrollTo({ top: 0, behavior: 'instant' })");
        let whole = json!({ "captureBeyondViewport": true });
        let shot = self.command("Page.captureScreenshot", whole);
        // Encoding is the page's own work: it has a decoder for this.
        let bytes = self.evaluate(&format!(
            "[...atob('{}')].map((c) => c.charCodeAt(0))",
            shot["data"].as_str().unwrap()
        ));
        let bytes: Vec<u8> = serde_json::from_value(bytes).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn launch(profile: &Path, camera: &Path) -> Option<Child> {
    let option = |name: &str, path: &Path| {
        let mut option = std::ffi::OsString::from(name);
        option.push(path);
        option
    };
    PROGRAMS.iter().find_map(|program| {
        Command::new(program)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args([
                "--disable-component-update",
                "--disable-sync",
                "--mute-audio",
            ])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars"])
            .args([
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
            ])
            .arg(option("--use-file-for-fake-video-capture=", camera))
            .arg(option("--user-data-dir=", profile))
            .args(["--remote-debugging-port=0", "about:blank"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()
    })
}

/// Writes a raw video of 4:2:0 frames, as a fake camera plays it.
pub(crate) fn write_camera_file(folder: &Path, frames: &[ssdlite_image::RgbImage]) -> PathBuf {
    let path = folder.join("camera.y4m");
    let size = frames[0].size();
    let head = format!(
        "YUV4MPEG2 W{} H{} F25:1 Ip A1:1 C420jpeg\n",
        size.width, size.height
    );
    let mut bytes = head.into_bytes();
    for frame in frames {
        bytes.extend_from_slice(b"FRAME\n");
        // ITU-R BT.601, limited range, as browsers read it.
        let planes: [([f32; 3], f32, usize); 3] = [
            ([65.5, 128.6, 25.0], 16.0, 1),
            ([-37.8, -74.2, 112.0], 128.0, 2),
            ([112.0, -93.8, -18.2], 128.0, 2),
        ];
        for (weights, offset, step) in planes {
            for y in (0..size.height).step_by(step) {
                for x in (0..size.width).step_by(step) {
                    let pixel = frame.pixel(x, y).unwrap();
                    let sum: f32 = pixel
                        .iter()
                        .zip(weights)
                        .map(|(channel, weight)| f32::from(*channel) / 255.0 * weight)
                        .sum();
                    bytes.push((offset + sum).round() as u8);
                }
            }
        }
    }
    std::fs::write(&path, bytes).unwrap();
    path
}
