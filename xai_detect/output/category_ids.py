"""Numbers of classes in COCO results."""

from collections.abc import Sequence

from xai_detect.errors import InputError

# COCO numbers its 80 classes from 1 to 90, with gaps.
_COCO_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,"
    "fire hydrant,GAP,stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,"
    "bear,zebra,giraffe,GAP,backpack,umbrella,GAP,GAP,handbag,tie,suitcase,frisbee,skis,"
    "snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,GAP,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,"
    "orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,GAP,"
    "dining table,GAP,GAP,toilet,GAP,tv,laptop,mouse,remote,keyboard,cell phone,microwave,"
    "oven,toaster,sink,refrigerator,GAP,book,clock,vase,scissors,teddy bear,hair drier,"
    "toothbrush"
)
_COCO_IDS = {
    name: number for number, name in enumerate(_COCO_NAMES.split(","), start=1) if name != "GAP"
}


def category_ids_of(
    class_names: tuple[str, ...], given: Sequence[int | str] | None
) -> Sequence[int | str]:
    """The id of each class, in label order.

    Args:
        class_names: The classes.
        given: Ids to take; by default COCO's own if the classes are COCO's 80, else label + 1.

    Raises:
        InputError: If there are not as many ids as classes.
    """
    if given is not None:
        if len(given) != len(class_names):
            raise InputError(
                f"{len(given)} category ids for {len(class_names)} classes; "
                "expected one id per class"
            )
        return given
    if _COCO_IDS.keys() <= set(class_names):
        # Names that are not COCO's are placeholders and are never detected.
        return [_COCO_IDS.get(name, -label - 1) for label, name in enumerate(class_names)]
    return range(1, len(class_names) + 1)
