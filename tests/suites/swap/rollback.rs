//! Back to the binary that served before: an ordinary swap, at any time, that knows which one it was.

use super::scene::Scene;
use tests::build::executables;
use tests::ctl::exit;
use tests::json::At;

fn serving(scene: &Scene) -> String {
    scene.world.status().text("/dataplane/binary").to_owned()
}

#[test]
fn back_and_forth_with_everything_that_happened_since() {
    let scene = Scene::new(|config| config.control.probation = "1s".to_owned());
    scene.load.await_more(200);
    let first = serving(&scene);
    scene.world.swap(&executables().dataplane_v1);
    let second = serving(&scene);
    assert_ne!(first, second);
    for expected in [&first, &second, &first] {
        scene.load.await_more(200);
        let plan = scene.world.ctl().json(["rollback", "--dry-run"]).expect(exit::OK).document();
        assert_eq!((plan.text("/binary"), plan.at("/layout_changed") == true), (expected.as_str(), true));
        let report = scene.world.ctl().json(["rollback"]).expect(exit::OK).document();
        assert_eq!((report.text("/outcome"), report.text("/to/binary")), ("committed", expected.as_str()));
        assert_eq!(&serving(&scene), expected);
    }
    // One that is asked for in a probation goes back from the binary that is in it.
    let ctl = scene.world.ctl().clone();
    let swap = std::thread::spawn(move || ctl.json(["swap".as_ref(), executables().dataplane_v1.as_os_str()]));
    scene.await_phase("probation");
    let report = scene.world.ctl().json(["rollback", "--commit-now"]).expect(exit::OK).document();
    assert_eq!((report.text("/from/binary"), report.text("/to/binary")), (second.as_str(), first.as_str()));
    swap.join().expect("controlctl runs").expect(exit::OK);
    let Scene { load, .. } = scene;
    load.stop().assert_perfect();
}

#[test]
fn without_a_swap_on_record_or_with_another_file_it_is_refused() {
    let scene = Scene::new(|_| {});
    let refused = |code: &str| {
        let answer = scene.world.ctl().json(["rollback"]).expect(exit::REFUSED).document();
        assert_eq!(answer.text("/error/code"), code, "{answer:#}");
    };
    refused("no-previous");
    let copy = scene.world.dir().join("dataplane-copy");
    std::fs::copy(&executables().dataplane_v1, &copy).expect("a copy");
    scene.world.swap(&copy);
    scene.world.swap(&executables().dataplane);
    // An installer puts a new file in its place.
    let new = scene.world.dir().join("dataplane-new");
    std::fs::copy(&executables().dataplane, &new).expect("a copy");
    std::fs::rename(&new, &copy).expect("in its place");
    refused("binary-changed");
    std::fs::remove_file(&copy).expect("removed");
    let answer = scene.world.ctl().json(["rollback"]).expect(exit::REFUSED).document();
    assert!(answer.text("/error/message").contains("dataplane-copy"), "{answer:#}");
}
