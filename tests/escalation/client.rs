//! Plain clients: HTTPS with whatever credential and headers, and bytes on a TLS connection where
//! an HTTP library would tidy the path.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Tries of a read before its failure counts.
const READ_TRIES: usize = 2;
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);
/// How much of a raw answer is read.
const RAW_LIMIT: u64 = 64 * 1024;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as it came; for a Kubernetes Status its message.
    pub text: String,
    /// The body where it is JSON.
    pub body: Value,
    /// What was asked, for people.
    pub asked: String,
}

impl Answer {
    /// Whether the request was granted.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The field at a JSON pointer; null where there is none.
    pub fn field(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The text at a JSON pointer.
    pub fn text_at(&self, pointer: &str) -> anyhow::Result<String> {
        let text = self.field(pointer).as_str();
        text.map(str::to_owned)
            .with_context(|| format!("no {pointer} in the answer to {}: {self:?}", self.asked))
    }

    fn of(asked: String, status: u16, text: String) -> Self {
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let is_status = body.pointer("/kind").and_then(Value::as_str) == Some("Status");
        let message = body.pointer("/message").and_then(Value::as_str);
        let text = match message {
            Some(message) if is_status => message.to_owned(),
            _ => text,
        };
        Self {
            status,
            text,
            body,
            asked,
        }
    }
}

/// Somebody at the API server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    tls: Arc<rustls::ClientConfig>,
    headers: Vec<(String, String)>,
}

impl Client {
    /// Nobody yet.
    pub fn anonymous(url: &str, ca_pem: &str) -> anyhow::Result<Self> {
        let ca = reqwest::Certificate::from_pem_bundle(ca_pem.as_bytes())?;
        let http = reqwest::Client::builder()
            .tls_certs_only(ca)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .build()?;
        let mut roots = rustls::RootCertStore::empty();
        for certificate in pem_certificates(ca_pem)? {
            roots.add(certificate)?;
        }
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            http,
            url: url.to_owned(),
            tls: Arc::new(tls),
            headers: Vec::new(),
        })
    }

    /// Somebody with a certificate and its key, PEM. Only for what an HTTP library sends.
    pub fn certified(&self, ca_pem: &str, certificate: &str) -> anyhow::Result<Self> {
        let ca = reqwest::Certificate::from_pem_bundle(ca_pem.as_bytes())?;
        let http = reqwest::Client::builder()
            .tls_certs_only(ca)
            .identity(reqwest::Identity::from_pem(certificate.as_bytes())?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .build()?;
        let mut with = self.nobody();
        with.http = http;
        Ok(with)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(&self, name: &str, value: &str) -> Self {
        let mut with = self.clone();
        with.headers.push((name.to_owned(), value.to_owned()));
        with
    }

    /// The same as the holder of a bearer token, and of nothing else.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        let mut with = self.clone();
        with.headers.clear();
        with.header("Authorization", &format!("Bearer {token}"))
    }

    /// The same with no headers at all.
    #[must_use]
    pub fn nobody(&self) -> Self {
        let mut with = self.clone();
        with.headers.clear();
        with
    }

    /// Sends a request.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let asked = format!("{method} {path}");
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            let kind = match (&method, body) {
                (&Method::PATCH, Value::Array(_)) => "application/json-patch+json",
                (&Method::PATCH, _) => "application/merge-patch+json",
                _ => "application/json",
            };
            request = request.header("content-type", kind).body(body.to_string());
        }
        let answer = request.send().await.with_context(|| asked.clone())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.with_context(|| asked.clone())?;
        Ok(Answer::of(asked, status, text))
    }

    /// GET. Asked again where no answer came: the API server closes a connection over which
    /// somebody was not authenticated, whoever else is asking over it.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        for _ in 0..READ_TRIES {
            if let Ok(answer) = self.send(Method::GET, path, None).await {
                return Ok(answer);
            }
        }
        self.send(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// PATCH: a JSON patch where the body is a list, else a merge patch.
    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    /// PATCH by server-side apply, which makes what is not there.
    pub async fn apply(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let url = format!("{}{path}?fieldManager=way&force=true", self.url);
        let mut request = self
            .http
            .patch(url)
            .header("content-type", "application/apply-patch+yaml")
            .body(body.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok(Answer::of(
            format!("apply {path}"),
            status,
            answer.text().await?,
        ))
    }

    /// A GET whose target goes out byte for byte.
    pub async fn raw(&self, target: &str) -> anyhow::Result<Answer> {
        let exchange = self.raw_exchange(target);
        tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .with_context(|| format!("no answer to {target}"))?
    }

    async fn raw_exchange(&self, target: &str) -> anyhow::Result<Answer> {
        let address = self.url.trim_start_matches("https://");
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let stream = tokio::net::TcpStream::connect(address).await?;
        let name = rustls::pki_types::ServerName::try_from(host.to_owned())?;
        let connector = tokio_rustls::TlsConnector::from(self.tls.clone());
        let mut stream = connector.connect(name, stream).await?;
        let mut request =
            format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut read = Vec::new();
        // A server that ends without close_notify has answered all the same.
        let _ = stream.take(RAW_LIMIT).read_to_end(&mut read).await;
        let text = String::from_utf8_lossy(&read).into_owned();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        Ok(Answer::of(
            format!("GET {target}"),
            status.with_context(|| format!("no status in {text:?}"))?,
            body.to_owned(),
        ))
    }
}

fn pem_certificates(pem: &str) -> anyhow::Result<Vec<rustls::pki_types::CertificateDer<'static>>> {
    use rustls::pki_types::pem::PemObject as _;
    let all = rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes());
    Ok(all.collect::<Result<_, _>>()?)
}

/// A real kubectl with the tenant's kubeconfig.
pub async fn kubectl(t: &crate::attempt::Attempt<'_>, words: &[&str]) -> anyhow::Result<Answer> {
    use k3s_daas::kubeconfig::{self, Credential};
    let control_plane = &t.stage.cluster.control_plane;
    let path = t.stage.folder.path().join(format!("{}.kubeconfig", t.tier));
    let cluster = kubeconfig::Cluster {
        url: control_plane.url.clone(),
        ca_pem: Some(control_plane.ca_pem.clone().into_bytes()),
        tls_server_name: None,
    };
    let token = Credential::Token(&t.me().token);
    kubeconfig::write(&path, &cluster, &token, "default")
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let mut command = control_plane.kubectl.command(&path);
    command.args(["--request-timeout", "10s"]).args(words);
    let output = tokio::time::timeout(ANSWER_WITHIN, command.output()).await??;
    let text = [output.stdout, output.stderr].concat();
    Ok(Answer {
        // What it printed is read as the answer that it got.
        status: if output.status.success() { 200 } else { 403 },
        text: String::from_utf8_lossy(&text).into_owned(),
        body: Value::Null,
        asked: format!("kubectl {}", words.join(" ")),
    })
}
