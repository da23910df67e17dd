//! The page below a path of a proxy: every link a reader can follow leads back to the page.

use std::path::Path;

use bytes::Bytes;
use testbed::Nginx;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::service::{MODEL, MODEL_UID, Replica, World};

async fn get(nginx: &Path, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(nginx).await.expect("nginx listens");
    let request = format!("GET {path} HTTP/1.0\r\nHost: shop.example\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer}")), answer)
}

/// The addresses in the links, forms, styles and images of a page.
fn links(page: &str) -> Vec<String> {
    let marks = ["href=\"", "src=\"", "action=\""];
    let after = marks.iter().flat_map(|mark| page.split(mark).skip(1));
    after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

async fn every_link_stays_below_the_path(nginx: &Nginx, replica: &Replica) {
    let nginx = nginx.socket();
    let order = format!("/lookup/orders/{MODEL_UID}");
    for page in ["/lookup/", &order, "/lookup/orders/nobody", "/lookup/no/such/page"] {
        let (_, html) = get(&nginx, page).await;
        let links = links(&html);
        assert!(links.len() >= 4, "{html}");
        for link in links {
            assert!(link.starts_with("/lookup/"), "{page} links to {link}");
            let path = if link == "/lookup/orders" { format!("{link}?uid=x") } else { link };
            let (status, answer) = get(&nginx, &path).await;
            assert!([200, 303].contains(&status), "{page} links to {path}: {answer}");
        }
    }
    let (status, answer) = get(&nginx, &format!("/lookup/orders?uid={MODEL_UID}")).await;
    let location = format!("location: {order}");
    assert!(status == 303 && answer.to_lowercase().contains(&location), "{answer}");
    let (status, answer) = get(&nginx, &format!("/lookup/api/v1/orders/{MODEL_UID}")).await;
    assert!(status == 200 && answer.as_bytes().ends_with(MODEL), "{answer}");
    // The hot path, and one who comes without the proxy.
    assert_eq!(replica.order(MODEL_UID).await.body, MODEL);
    assert_eq!(replica.get(&format!("/lookup/api/v1/orders/{MODEL_UID}")).await.body, MODEL);
}

#[tokio::test]
async fn links_stay_below_the_path_whether_the_proxy_strips_it_or_not() {
    let world = World::new().await;
    let replica = world.start("behind", &[("WAYBILL_HTTP__BASE_PATH", "/lookup")]).await;
    replica.until_ready().await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    for stripped in ["", "/"] {
        let site = replica.site;
        let locations = format!(
            "location /lookup/ {{ proxy_pass http://{site}{stripped}; proxy_redirect off; }}"
        );
        let nginx = Nginx::start(&locations).await.expect("nginx starts");
        every_link_stays_below_the_path(&nginx, &replica).await;
    }
}
