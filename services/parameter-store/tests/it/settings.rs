//! Service settings of the parameter store.

use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::ParameterTier;
use muster_proto::settings::v1::{
    GetServiceSettingRequest, ResetServiceSettingRequest, ServiceSetting, UpdateServiceSettingRequest,
};

use crate::service::{Service, put, reason, refusal};

const TIER: &str = "/ssm/parameter-store/default-parameter-tier";
const ARN: &str = "arn:aws:ssm:us-east-1:000000000000:servicesetting/ssm/parameter-store/default-parameter-tier";

async fn shown(service: &Service, id: &str) -> ServiceSetting {
    let request = GetServiceSettingRequest {
        setting_id: Some(id.to_owned()),
    };
    let answer = service.settings().get_service_setting(request).await.unwrap();
    answer.into_inner().service_setting.unwrap()
}

fn update(id: &str, value: &str) -> UpdateServiceSettingRequest {
    UpdateServiceSettingRequest {
        setting_id: Some(id.to_owned()),
        setting_value: Some(value.to_owned()),
    }
}

async fn tier_of_a_put(service: &Service, name: &str) -> ParameterTier {
    let answer = service.by_nats().put_parameter(put(name, "x")).await.unwrap();
    answer.into_inner().tier()
}

#[tokio::test]
async fn the_default_tier_is_what_somebody_made_it_until_it_is_reset() {
    let service = Service::start().await;
    let setting = shown(&service, TIER).await;
    assert_eq!(
        (setting.setting_value(), setting.status(), setting.arn()),
        ("Standard", "Default", ARN)
    );
    assert_eq!((setting.last_modified_date, &setting.last_modified_user), (None, &None));
    assert_eq!(tier_of_a_put(&service, "one").await, ParameterTier::Standard);

    service
        .settings()
        .update_service_setting(update(ARN, "Advanced"))
        .await
        .unwrap();
    let service = service.restart().await;
    let setting = shown(&service, ARN).await;
    assert_eq!(
        (setting.setting_value(), setting.status(), setting.setting_id()),
        ("Advanced", "Customized", TIER)
    );
    assert!(setting.last_modified_date.is_some() && setting.last_modified_user.is_some());
    assert_eq!(tier_of_a_put(&service, "two").await, ParameterTier::Advanced);

    service
        .settings()
        .update_service_setting(update(TIER, "Intelligent-Tiering"))
        .await
        .unwrap();
    assert_eq!(tier_of_a_put(&service, "three").await, ParameterTier::Standard);
    let large = service
        .by_nats()
        .put_parameter(put("four", &"x".repeat(5_000)))
        .await
        .unwrap();
    assert_eq!(large.into_inner().tier(), ParameterTier::Advanced);

    let request = ResetServiceSettingRequest {
        setting_id: Some(TIER.to_owned()),
    };
    let reset = service
        .settings()
        .reset_service_setting(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reset.service_setting, Some(shown(&service, TIER).await));
    assert_eq!(shown(&service, TIER).await.status(), "Default");
    assert_eq!(tier_of_a_put(&service, "five").await, ParameterTier::Standard);
    service.stop().await;
}

#[tokio::test]
async fn settings_and_values_that_there_are_not_are_refused() {
    let service = Service::start().await;
    let throughput = "/ssm/parameter-store/high-throughput-enabled";
    service
        .settings()
        .update_service_setting(update(throughput, "true"))
        .await
        .unwrap();
    assert_eq!(shown(&service, throughput).await.setting_value(), "true");
    let (word, text) = refusal(service.settings().update_service_setting(update(TIER, "Gold")).await);
    assert_eq!(word, Reason::ValidationException);
    assert!(text.contains("Standard, Advanced, Intelligent-Tiering"), "{text}");
    for id in ["/ssm/automation/customer-script-log-destination", "nothing"] {
        let outcome = service.settings().update_service_setting(update(id, "x")).await;
        assert_eq!(reason(outcome), Reason::ServiceSettingNotFound, "{id}");
    }
    service.stop().await;
}
