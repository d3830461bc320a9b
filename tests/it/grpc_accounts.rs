//! `ListAccounts`, page by page.

use std::fmt::Write as _;

use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::{Account, Backend, ListAccountsRequest, ListAccountsResponse};
use identity_trail::sandbox::Sandbox;
use tonic::transport::Channel;

use crate::grpc_service::{NOW, Service, assembly, connect, service_config};
use crate::sandbox::{HUB, OTHER, REGION, config};

async fn page(
    client: &mut IdentityTrailServiceClient<Channel>,
    page_size: i32,
    page_token: &str,
) -> ListAccountsResponse {
    let request = ListAccountsRequest {
        page_size,
        page_token: page_token.to_owned(),
        account_selector: None,
    };
    client.list_accounts(request).await.unwrap().into_inner()
}

async fn all(client: &mut IdentityTrailServiceClient<Channel>, page_size: i32) -> Vec<Account> {
    let mut accounts = Vec::new();
    let mut token = String::new();
    loop {
        let page = page(client, page_size, &token).await;
        assert!(page.accounts.len() <= usize::try_from(page_size).unwrap());
        assert_eq!(page.total_size, 250);
        accounts.extend(page.accounts);
        token = page.next_page_token;
        if token.is_empty() {
            return accounts;
        }
    }
}

#[tokio::test]
async fn every_account_is_on_exactly_one_page() {
    let sandbox = Sandbox::start(config(&[], NOW)).await.unwrap();
    let mut list = String::new();
    for number in (0..250).rev() {
        writeln!(list, "    - {{id: \"{:012}\"}}", 1_000 + number).unwrap();
    }
    let config = service_config(&sandbox, list.trim_end());
    let assembly = assembly(&sandbox, &config).await;
    let server = assembly.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
    let mut client = IdentityTrailServiceClient::new(connect(&server).await);
    let expected: Vec<String> = (0..250).map(|n| format!("{:012}", 1_000 + n)).collect();
    for page_size in [1, 99, 125, 250, 1_000] {
        let accounts = all(&mut client, page_size).await;
        let ids: Vec<_> = accounts.into_iter().map(|a| a.account_id).collect();
        assert_eq!(ids, expected, "pages of {page_size}");
    }
    let first = page(&mut client, 0, "").await;
    assert_eq!(first.accounts.len(), 100);
}

#[tokio::test]
async fn an_account_says_what_can_be_searched_there() {
    let service = Service::start(&[]).await;
    let listed = page(&mut service.client(), 0, "").await;
    assert_eq!(listed.next_page_token, "");
    let [hub, other] = &listed.accounts[..] else {
        panic!("{listed:?}");
    };
    assert_eq!(
        (&*hub.account_id, hub.account_name.as_deref()),
        (HUB, Some("hub"))
    );
    assert_eq!(
        (&*other.account_id, other.account_name.as_deref()),
        (OTHER, None)
    );
    assert_eq!(other.regions, [REGION]);
    let [history] = &other.backends[..] else {
        panic!("{other:?}");
    };
    assert_eq!(history.backend(), Backend::EventHistory);
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let age = now.as_second() - history.first_time.unwrap().seconds;
    // The sandbox's clock ticks on while the test runs.
    assert!((90 * 86_400 - 3_600..=90 * 86_400).contains(&age), "{age}");
}
