"""What names in a user's own folder mean, as a person would say."""

import unicodedata

import pytest

from variad.datasets.folder_names import contradicts, is_mask, is_truth, masked_stems, meaning


def words(text: str) -> list[str]:
    return text.split()


GOOD = words("""
good Good GOOD ok OK Ok okay normal Normal pass passed nominal defect-free defect_free DefectFree no_defect no-defects
NoDefect without_defects nondefective not_defective undamaged flawless intact i.O. IO Gut fehlerfrei _good good_
anomaly-free no_anomaly accepted okparts good_parts 良品 正常 合格 Gutteil buenos 可 无缺陷 欠陥なし
""")
EITHER = words("""
good_2 good2 good(1) not_good NotGood notgood ok-night OK2 okimages partsOK goodimages 0 1 007 true False yes unknown
unsorted mixed positive negative pos neg class_1 Class1 label_0 other misc test images normal_2 pass_2 no_label + g n
scratch_free very-good clean good_bad nicht_ok 良品_2 kein_defekt sans_défaut sin_defectos senza_difetti
sem_defeito false_call FalseCalls ref_2 neuer_Ordner
""")
# the folders of MVTec AD, MPDD, BTAD, VisA and MVTec LOCO AD, and what people call defects
DEFECT = words("""
broken_large broken_small contamination bent_wire cable_swap combined cut_inner_insulation cut_outer_insulation crack
missing_cable missing_wire poke_insulation faulty_imprint poke scratch squeeze color cut hole metal_contamination thread
bent broken glue print fold glue_strip gray_stroke oil rough defective bent_lead cut_lead damaged_case misplaced flip
liquid manipulated_front scratch_head scratch_neck thread_side thread_top broken_teeth fabric_border fabric_interior
split_teeth squeezed_teeth pill_type logical_anomalies structural_anomalies anomaly ko bad NG ng nok NOK n.i.O. NIO fail
reject abnormal Abnormal anomalous Riß Kratzer scratch_2 defect_1 type_a_scratch A smoke BROKEN hook incorrect_print
paint_run bypass book imperfection 不良品 不合格 不可
""")


@pytest.mark.parametrize(("names", "says"), [(GOOD, "good"), (EITHER, "either"), (DEFECT, "defect")])
def test_what_a_folder_s_name_says_of_its_images(names, says):
    assert {name: meaning(name) for name in names} == dict.fromkeys(names, says)
    assert {meaning(unicodedata.normalize("NFD", name)) for name in names} == {says}


@pytest.mark.parametrize(
    ("name", "good", "contrary"),
    [
        *(("monday", True, False), ("7", True, False), ("no_flash", True, False), ("no_defect", True, False)),
        *(("NG", True, True), ("defects_2", True, True), ("not_good", True, True), ("ok", True, False)),
        *(
            ("monday", False, False),
            ("0", False, False),
            ("good", False, True),
            ("OK 2", False, True),
            ("ng", False, False),
        ),
    ],
)
def test_a_folder_inside_another_may_contradict_it(name, good, contrary):
    assert contradicts(name, good) == contrary


def test_folders_of_masks():
    assert all(
        map(is_truth, ("ground_truth", "groundtruth", "GroundTruth", "Ground Truth", "gt", "GT", "mask", "Masks"))
    )
    assert not any(map(is_truth, ("solder_mask", "scratch", "label", "good")))


@pytest.mark.parametrize(
    ("stem", "of"),
    [
        *(
            ("x_mask", ["x"]),
            ("x-mask", ["x"]),
            ("x.mask", ["x"]),
            ("x mask", ["x"]),
            ("x_Masks", ["x"]),
            ("x_GT", ["x"]),
        ),
        *(
            ("x_label", ["x"]),
            ("x_labels", ["x"]),
            ("x_seg", ["x"]),
            ("x_segmentation", ["x"]),
            ("x_ground_truth", ["x"]),
        ),
        *(("x_mask_0", ["x"]), ("x_mask(2)", ["x"]), ("1mask", ["1"]), ("x_gt_mask", ["x_gt", "x"]), ("mask_x", ["x"])),
        *(("x", []), ("unmask", []), ("mask", []), ("x_msk", []), ("gt", []), ("mask_001", ["001"]), ("_mask", [])),
        ("x__mask", ["x"]),
        *(("x.jpg_mask", ["x.jpg", "x"]), ("x.TIFF", [])),
    ],
)
def test_what_a_file_may_be_a_mask_of(stem, of):
    assert masked_stems(stem) == of


def test_among_masks_a_second_ending_is_the_images():
    assert masked_stems("x.TIFF", among_masks=True) == ["x"]
    assert masked_stems("x.v2", among_masks=True) == masked_stems(".png", among_masks=True) == []


def test_a_name_of_a_mask_that_needs_no_image_beside_it():
    assert all(is_mask(stem, of_defects=False) for stem in ("x_mask", "x-GT", "x.seg", "x_masks"))
    assert not any(
        is_mask(stem, of_defects=False) for stem in ("wine_label", "mask_1", "face_mask_01", "mask", "1mask")
    )
    assert is_mask("x_label", of_defects=True) and not is_mask("label", of_defects=True)
